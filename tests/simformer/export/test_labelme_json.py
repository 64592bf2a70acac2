from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from label_maps import CLASSES, SPECIAL, drawn, iou, label_maps, painted, ring

from simformer.export import FORMATS, Annotation

WRITE = FORMATS["labelme"].write


def check_content(content: dict, labels: np.ndarray) -> None:
    assert (content["imageHeight"], content["imageWidth"]) == labels.shape
    assert content["imageData"] is None
    by_class: dict[str, list] = {}
    for shape in content["shapes"]:
        assert shape["shape_type"] == "polygon" and shape["mask"] is None
        assert len(shape["points"]) >= 3
        assert shape["group_id"] is None or type(shape["group_id"]) is int
        by_class.setdefault(shape["label"], []).append(shape["points"])
    assert set(by_class) == {CLASSES[label] for label in np.unique(labels) if label != 255}
    for name, polygons in by_class.items():
        assert iou(painted(polygons, labels.shape), labels == CLASSES.index(name)) >= 0.95


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label_maps)
def test_painted_polygons_are_the_classes(tmp_path, labels):
    WRITE([Annotation("photo.jpg", labels)], CLASSES, tmp_path / "out")
    check_content(json.loads((tmp_path / "out" / "photo.json").read_text()), labels)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases(tmp_path, name):
    WRITE([Annotation("photo.jpg", SPECIAL[name])], CLASSES, tmp_path)
    check_content(json.loads((tmp_path / "photo.json").read_text()), SPECIAL[name])


def test_files_lie_like_the_photos_and_name_them(tmp_path):
    annotations = [Annotation("day 1/a.v2.jpg", drawn("0")), Annotation("b.PNG", drawn("1"))]
    written = WRITE(annotations, CLASSES, tmp_path / "out")
    assert written == [tmp_path / "out" / "day 1" / "a.v2.json", tmp_path / "out" / "b.json"]
    assert [json.loads(path.read_text())["imagePath"] for path in written] == ["a.v2.jpg", "b.PNG"]


def test_fields(tmp_path):
    [path] = WRITE([Annotation("a.jpg", drawn(".... ..1."))], CLASSES, tmp_path)
    content = json.loads(path.read_text(encoding="ascii"))
    assert sorted(map(tuple, content["shapes"][0].pop("points"))) == [
        (2.1, 1.5),
        (2.5, 1.1),
        (2.5, 1.9),
        (2.9, 1.5),
    ]
    assert content == {
        "version": "5.5.0",
        "flags": {},
        "shapes": [
            {
                "label": "traffic light",
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
        ],
        "imagePath": "a.jpg",
        "imageData": None,
        "imageHeight": 2,
        "imageWidth": 4,
    }


def test_pieces_of_a_region_with_a_hole_are_a_group(tmp_path):
    labels = np.full((40, 80), 255, dtype=np.uint8)
    labels[5:25, 5:25] = ring(20, 5)
    labels[5:25, 40:60] = ring(20, 5)
    labels[30:35, 5:10] = 0
    [path] = WRITE([Annotation("a.jpg", labels)], CLASSES, tmp_path)
    shapes = json.loads(path.read_text())["shapes"]
    groups = [shape["group_id"] for shape in shapes]
    assert sorted(map(str, groups)) == ["1", "1", "2", "2", "None"]
    for group, columns in ((1, slice(0, 30)), (2, slice(30, 80))):
        together = painted([shape["points"] for shape in shapes if shape["group_id"] == group], labels.shape)
        alone = np.zeros_like(together)
        alone[5:25, columns] = labels[5:25, columns] == 0
        assert iou(together, alone) >= 0.95


def test_zip_holds_the_same_files_as_the_folder(tmp_path):
    annotations = [Annotation("folder/a.jpg", drawn("001")), Annotation("b.jpg", drawn("2"))]
    files = WRITE(annotations, CLASSES, tmp_path / "out")
    assert WRITE(annotations, CLASSES, tmp_path / "out.zip") == [tmp_path / "out.zip"]
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in files
        }


def test_smallest_area(tmp_path):
    [path] = WRITE([Annotation("a.jpg", drawn("000 1.2"))], CLASSES, tmp_path, min_area=2)
    assert [shape["label"] for shape in json.loads(path.read_text())["shapes"]] == ["sky"]
