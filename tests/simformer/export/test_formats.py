"""What all formats share: the registry, checks of what goes in, and files that are whole or not there."""

from __future__ import annotations

import numpy as np
import pytest
from label_maps import CLASSES, drawn

from simformer.errors import ConfigError, SimFormerError, UnknownClassError
from simformer.export import FORMATS, Annotation, find_format

every_format = pytest.mark.parametrize("name", FORMATS)


def target(name, folder):
    return folder / f"export{FORMATS[name].extension}"


def files_of(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_names():
    assert list(FORMATS) == ["png", "coco", "cvat", "labelme", "label-studio"]
    assert all(find_format(name) is entry and entry.name == name for name, entry in FORMATS.items())
    with pytest.raises(ConfigError, match=r"'voc'.*png, coco, cvat, labelme, label-studio"):
        find_format("voc")


@every_format
def test_writes_what_it_says_and_the_same_twice(name, tmp_path):
    annotations = [Annotation("a.jpg", drawn("001 .12")), Annotation("folder/b.jpg", drawn("..."))]
    written = FORMATS[name].write(iter(annotations), CLASSES, target(name, tmp_path / "1"))
    assert {path.relative_to(tmp_path / "1").as_posix() for path in written} == set(files_of(tmp_path / "1"))
    assert target(name, tmp_path / "1") in written
    FORMATS[name].write(iter(annotations), CLASSES, target(name, tmp_path / "2"))
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2")


@every_format
def test_no_photos_at_all(name, tmp_path):
    FORMATS[name].write([], CLASSES, target(name, tmp_path))
    assert target(name, tmp_path).is_file()


@every_format
def test_reads_one_annotation_at_a_time(name, tmp_path):
    alive = []

    def annotations():
        for number in range(6):
            labels = np.zeros((8, 8), dtype=np.uint8)
            alive.append(labels)
            yield Annotation(f"{number}.jpg", labels)
            labels[:] = 255  # whoever reads an earlier map later sees nothing of it

    FORMATS[name].write(annotations(), CLASSES, target(name, tmp_path / "lazy"))
    whole = [Annotation(f"{number}.jpg", np.zeros((8, 8), dtype=np.uint8)) for number in range(6)]
    FORMATS[name].write(whole, CLASSES, target(name, tmp_path / "whole"))
    assert len(alive) == 6
    assert files_of(tmp_path / "lazy") == files_of(tmp_path / "whole")


@every_format
def test_a_failure_leaves_the_old_file(name, tmp_path):
    def annotations():
        yield Annotation("a.jpg", drawn("0"))
        raise RuntimeError("the model failed")

    FORMATS[name].write([Annotation("a.jpg", drawn("01"))], CLASSES, target(name, tmp_path))
    before = files_of(tmp_path)
    with pytest.raises(RuntimeError, match="the model failed"):
        FORMATS[name].write(annotations(), CLASSES, target(name, tmp_path))
    assert files_of(tmp_path) == before


@every_format
def test_small_regions_are_left_out(name, tmp_path):
    labels, without = drawn("0001 0001 2..1"), drawn("0001 0001 ...1")
    FORMATS[name].write([Annotation("a.jpg", labels)], CLASSES, target(name, tmp_path / "1"), min_area=2)
    FORMATS[name].write([Annotation("a.jpg", without)], CLASSES, target(name, tmp_path / "2"))
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2")


@every_format
def test_labels_without_a_class(name, tmp_path):
    with pytest.raises(UnknownClassError, match=r"bad\.jpg.* 3,.* 3 classes"):
        FORMATS[name].write([Annotation("bad.jpg", drawn("0123"))], CLASSES, target(name, tmp_path))
    assert files_of(tmp_path) == {}


@every_format
@pytest.mark.parametrize(
    ("classes", "words"),
    [([], "0 class names"), (["a"] * 256, "256 class names"), (["a", "a"], "'a'"), (["a", " "], "class 1")],
)
def test_class_names(name, classes, words, tmp_path):
    with pytest.raises(UnknownClassError, match=words):
        FORMATS[name].write([Annotation("a.jpg", drawn("0"))], classes, target(name, tmp_path))


@pytest.mark.parametrize("name", ["png", "cvat", "labelme"])
def test_photos_that_differ_in_extension_or_case_only(name, tmp_path):
    for second in ("folder/a.png", "folder/A.jpg"):
        annotations = [Annotation("folder/a.jpg", drawn("0")), Annotation(second, drawn("0"))]
        with pytest.raises(SimFormerError, match=f"{second} would replace folder/a.jpg"):
            FORMATS[name].write(annotations, CLASSES, target(name, tmp_path))


@pytest.mark.parametrize("name", ["coco", "label-studio"])
def test_one_photo_twice(name, tmp_path):
    different = [Annotation("a.jpg", drawn("0")), Annotation("a.png", drawn("0"))]
    FORMATS[name].write(different, CLASSES, target(name, tmp_path))
    with pytest.raises(SimFormerError, match=r"a\.jpg would replace a\.jpg"):
        FORMATS[name].write([*different, Annotation("a.jpg", drawn("1"))], CLASSES, target(name, tmp_path))


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio"])
def test_another_extension(name, tmp_path):
    with pytest.raises(ConfigError, match=FORMATS[name].extension):
        FORMATS[name].write([], CLASSES, tmp_path / "export.txt")


@every_format
def test_a_folder_in_the_way(name, tmp_path):
    target(name, tmp_path).mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        FORMATS[name].write([], CLASSES, target(name, tmp_path))


@every_format
def test_a_file_in_the_way_of_the_folder(name, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SimFormerError, match="file"):
        FORMATS[name].write([Annotation("a.jpg", drawn("0"))], CLASSES, target(name, tmp_path / "file"))


@every_format
def test_areas_below_one_pixel(name, tmp_path):
    with pytest.raises(ConfigError, match="not 0"):
        FORMATS[name].write([], CLASSES, target(name, tmp_path), min_area=0)


@pytest.mark.parametrize(
    "file_name",
    ["", ".", "../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "C:\\a.jpg", "C:a.jpg", "\\\\host\\a.jpg",
     "a//b.jpg", "a/", "a\nb.jpg", "a\0.jpg", " a.jpg"],
)  # fmt: skip
def test_names_outside_the_photos_folder(file_name):
    with pytest.raises(SimFormerError, match="cannot be exported"):
        Annotation(file_name, drawn("0"))


def test_names_inside_the_photos_folder():
    annotation = Annotation("day 1\\Bäume.v2.jpg", np.zeros((2, 3), dtype=np.uint8))
    assert (annotation.file_name, annotation.stem, annotation.size) == (
        "day 1/Bäume.v2.jpg",
        "day 1/Bäume.v2",
        (2, 3),
    )


@pytest.mark.parametrize(
    "labels",
    [np.zeros((2, 2), dtype=np.int64), np.zeros((1, 2, 2), dtype=np.uint8), np.zeros((0, 3), dtype=np.uint8)],
)
def test_arrays_that_are_no_label_maps(labels):
    with pytest.raises(SimFormerError, match=r"a\.jpg: a label map is uint8"):
        Annotation("a.jpg", labels)


def test_exporting_needs_no_torch(run_python):
    code = "import sys, simformer.export; print({'torch', 'gradio', 'train'} & set(sys.modules))"
    assert run_python(code).strip() == "set()"
