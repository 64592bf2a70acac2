from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import typer
from PIL import Image
from pycocotools.coco import COCO
from typer.testing import CliRunner

from simformer.cli.export import export
from simformer.errors import SimFormerError

app = typer.Typer()
app.command()(export)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(*arguments) -> str:
    """The sentence that a command ends with."""
    result = run(*arguments)
    assert isinstance(result.exception, SimFormerError), result.output
    return str(result.exception)


@pytest.fixture
def labels(tmp_path):
    """Two label maps, one of them in a folder, and the class names."""
    folder = tmp_path / "labels"
    (folder / "day 1").mkdir(parents=True)
    Image.fromarray(np.array([[0, 0, 1], [0, 255, 1]], dtype=np.uint8)).save(folder / "a.v2.png")
    Image.fromarray(np.array([[1, 1]], dtype=np.uint8)).save(folder / "day 1" / "b.png")
    (folder / "classes.txt").write_text("sky\ntraffic light\n")
    return folder


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "day 1").mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(folder / "a.v2.PNG")
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: 1 x 2 pixels shown as 2 x 1
    Image.new("RGB", (1, 2)).save(folder / "day 1" / "b.jpeg", exif=exif)
    (folder / "notes.txt").write_text("")
    return folder


def test_coco(labels, tmp_path):
    result = run(labels, "--out", tmp_path / "new" / "out.json")
    assert result.exit_code == 0, result.output
    coco = COCO(str(tmp_path / "new" / "out.json"))
    assert [image["file_name"] for image in coco.imgs.values()] == ["a.v2.jpg", "day 1/b.jpg"]
    assert [category["name"] for category in coco.cats.values()] == ["sky", "traffic light"]
    masks = {(entry["image_id"], entry["category_id"]): coco.annToMask(entry) for entry in coco.anns.values()}
    assert masks[1, 1].tolist() == [[1, 1, 0], [1, 0, 0]]
    assert masks[1, 2].tolist() == [[0, 0, 1], [0, 0, 1]]
    assert masks[2, 2].tolist() == [[1, 1]]
    assert len(masks) == 3


def test_names_and_sizes_come_from_the_photos(labels, photos, tmp_path):
    result = run(labels, "--photos", photos, "--out", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    images = json.loads((tmp_path / "out.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["a.v2.PNG", "day 1/b.jpeg"]


def test_every_other_format(labels, tmp_path):
    outs = {"png": "png", "cvat": "cvat.zip", "labelme": "labelme", "label-studio": "tasks.json"}
    for name, file in outs.items():
        result = run(labels, "--format", name, "--out", tmp_path / file)
        assert result.exit_code == 0, result.output
    pngs = sorted(path.name for path in (tmp_path / "png").rglob("*.*"))
    assert pngs == ["a.v2.png", "b.png", "classes.csv"]
    assert "SegmentationClass/day 1/b.png" in zipfile.ZipFile(tmp_path / "cvat.zip").namelist()
    assert (tmp_path / "labelme" / "day 1" / "b.json").is_file()
    assert len(json.loads((tmp_path / "tasks.json").read_text())) == 2


def test_label_pngs_carry_their_classes_into_the_next_export(labels, tmp_path):
    assert run(labels, "--format", "png", "--out", tmp_path / "png").exit_code == 0
    assert run(tmp_path / "png", "--out", tmp_path / "second.json").exit_code == 0
    assert run(labels, "--out", tmp_path / "first.json").exit_code == 0
    assert (tmp_path / "first.json").read_text() == (tmp_path / "second.json").read_text()


def test_options(labels, tmp_path):
    classes = tmp_path / "names.txt"
    classes.write_text("a\nb\nc\n")
    result = run(
        labels, "--classes", classes, "--min-area", 3, "--photo-extension", "webp", "--url", "https://x.org/",
        "--format", "label-studio", "--out", tmp_path / "out.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    tasks = json.loads((tmp_path / "out.json").read_text())
    images = [task["data"]["image"] for task in tasks]
    assert images == ["https://x.org/a.v2.webp", "https://x.org/day%201/b.webp"]
    regions = [task["predictions"][0]["result"] for task in tasks]
    assert [[region["value"]["polygonlabels"] for region in result] for result in regions] == [[["a"]], []]


def test_label_maps_beside_their_photos(labels, tmp_path):
    Image.new("RGB", (3, 2)).save(labels / "a.v2.jpg")
    Image.new("RGB", (2, 1)).save(labels / "day 1" / "b.jpg")
    result = run(labels, "--photos", labels, "--out", tmp_path / "out.json")
    assert result.exit_code == 0, result.output


def test_photos_of_another_size(labels, photos, tmp_path):
    Image.new("RGB", (2, 3)).save(photos / "a.v2.PNG")
    sentence = fails(labels, "--photos", photos, "--out", tmp_path / "out.json")
    assert "a.v2.png has 3 x 2 pixels" in sentence and "a.v2.PNG has 2 x 3" in sentence
    assert not (tmp_path / "out.json").exists()


def test_missing_and_ambiguous_photos(labels, photos, tmp_path):
    Image.new("RGB", (3, 2)).save(photos / "a.v2.jpg")
    assert "two photos of one name" in fails(labels, "--photos", photos, "--out", tmp_path / "out.json")
    (photos / "a.v2.jpg").unlink()
    (photos / "a.v2.PNG").unlink()
    assert "no photo for" in fails(labels, "--photos", photos, "--out", tmp_path / "out.json")
    assert "no folder" in fails(labels, "--photos", tmp_path / "none", "--out", tmp_path / "out.json")


def test_mistakes_end_in_one_sentence(labels, tmp_path):
    out = tmp_path / "out.json"
    assert "no export format 'voc'" in fails(labels, "--format", "voc", "--out", out)
    assert "no folder" in fails(tmp_path / "none", "--out", out)
    assert "no file" in fails(labels, "--classes", tmp_path / "none.txt", "--out", out)
    assert ".json" in fails(labels, "--out", tmp_path / "out.txt")
    assert "at least 1 pixel" in fails(labels, "--min-area", 0, "--out", out)
    assert "would replace label maps" in fails(labels, "--format", "png", "--out", labels / "new")
    (labels / "classes.txt").write_text("sky\n")
    assert "a.v2" in fails(labels, "--out", out)
    (labels / "classes.txt").unlink()
    assert "--classes" in fails(labels, "--out", out)
    Image.new("RGB", (3, 2)).save(labels / "a.v2.png")
    (labels / "classes.txt").write_text("sky\ntraffic light\n")
    assert "a.v2.png is of mode RGB" in fails(labels, "--out", out)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "classes.txt").write_text("sky\n")
    assert "no PNGs" in fails(tmp_path / "empty", "--out", out)
    assert not out.exists()
