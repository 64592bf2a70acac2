from __future__ import annotations

import csv
import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from label_maps import CLASSES, SPECIAL, drawn, label_maps
from PIL import Image

from simformer.errors import DatasetError
from simformer.export import FORMATS, Annotation
from simformer.export.label_png import read_classes
from simformer.labels import read_label_png

WRITE = FORMATS["png"].write


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label_maps)
def test_values_are_the_label_map_and_colors_those_of_the_csv(tmp_path, labels):
    WRITE([Annotation("photo.jpg", labels)], CLASSES, tmp_path)
    with Image.open(tmp_path / "photo.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image), labels)
        shown = np.array(image.convert("RGB"))
    rows = list(csv.DictReader((tmp_path / "classes.csv").open(encoding="utf-8", newline="")))
    assert [row["index"] for row in rows] == ["0", "1", "2", "255"]
    assert [row["class"] for row in rows] == [*CLASSES, "unsure"]
    for row in rows:
        color = tuple(bytes.fromhex(row["color"].removeprefix("#")))
        assert (shown[labels == int(row["index"])] == color).all()


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases(tmp_path, name):
    WRITE([Annotation("photo.jpg", SPECIAL[name])], CLASSES, tmp_path)
    assert np.array_equal(read_label_png(tmp_path / "photo.png"), SPECIAL[name])


def test_folders_and_zip(tmp_path):
    annotations = [Annotation("day 1/a.jpg", drawn("01")), Annotation("b.v2.jpg", drawn("2."))]
    files = WRITE(annotations, CLASSES, tmp_path / "out")
    names = ["day 1/a.png", "b.v2.png", "classes.csv"]
    assert [path.relative_to(tmp_path / "out").as_posix() for path in files] == names
    WRITE(annotations, CLASSES, tmp_path / "out.ZIP")
    with zipfile.ZipFile(tmp_path / "out.ZIP") as archive:
        assert archive.namelist() == names
        with Image.open(io.BytesIO(archive.read("b.v2.png"))) as image:
            assert np.array_equal(np.array(image), drawn("2."))


def test_the_csv_is_read_back(tmp_path):
    classes = ['a, "b"', "c;d", "é", "255"]
    WRITE([Annotation("photo.jpg", drawn("0"))], classes, tmp_path)
    assert read_classes(tmp_path / "classes.csv") == tuple(classes)


def test_names_one_a_line(tmp_path):
    (tmp_path / "classes.txt").write_text("sky\n traffic light \r\n\n", encoding="utf-8-sig")
    assert read_classes(tmp_path / "classes.txt") == ("sky", "traffic light")
    (tmp_path / "classes.txt").write_text("sky\n\ntraffic light\n")
    with pytest.raises(DatasetError, match="line 2: no class"):
        read_classes(tmp_path / "classes.txt")


@pytest.mark.parametrize(
    ("text", "words"),
    [("name,id\nsky,0\n", "columns"), ("index,class\n1,a\n", "count"), ("index,class\n0,a\n0,b\n", "count")],
)
def test_csvs_that_are_none_of_classes(tmp_path, text, words):
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_classes(tmp_path / "classes.csv")


def test_missing_or_broken_class_files(tmp_path):
    with pytest.raises(DatasetError, match=r"there is no file .*classes\.txt"):
        read_classes(tmp_path / "classes.txt")
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="UTF-8"):
        read_classes(tmp_path / "classes.txt")


def test_gray_pngs_are_read_too(tmp_path):
    labels = drawn("012 ..1")
    Image.fromarray(labels).save(tmp_path / "gray.png")
    assert np.array_equal(read_label_png(tmp_path / "gray.png"), labels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "1", "LA"])
def test_pngs_that_are_no_label_maps(tmp_path, mode):
    Image.new(mode, (3, 2)).save(tmp_path / "wrong.png")
    with pytest.raises(DatasetError, match=r"wrong\.png"):
        read_label_png(tmp_path / "wrong.png")


def test_files_that_are_no_pngs(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    Image.new("L", (3, 2)).save(tmp_path / "photo.jpg")
    for name in ("text.png", "photo.jpg", "missing.png"):
        with pytest.raises(DatasetError, match=name):
            read_label_png(tmp_path / name)
