from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from label_maps import CLASSES, SPECIAL, drawn, iou, label_maps, painted, ring

from simformer.export import FORMATS, Annotation
from simformer.utils.palette import hex_colors

WRITE = FORMATS["label-studio"].write


def check_task(task: dict, labels: np.ndarray) -> None:
    height, width = labels.shape
    [prediction] = task["predictions"]
    assert len({region["id"] for region in prediction["result"]}) == len(prediction["result"])
    by_class: dict[str, list] = {}
    for region in prediction["result"]:
        assert (region["original_height"], region["original_width"]) == (height, width)
        assert region["type"] == "polygonlabels"
        assert all(0 <= value <= 100 for point in region["value"]["points"] for value in point)
        [name] = region["value"]["polygonlabels"]
        points = [(x * width / 100, y * height / 100) for x, y in region["value"]["points"]]
        by_class.setdefault(name, []).append(points)
    assert set(by_class) == {CLASSES[label] for label in np.unique(labels) if label != 255}
    for name, polygons in by_class.items():
        assert iou(painted(polygons, labels.shape), labels == CLASSES.index(name)) >= 0.95


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label_maps, label_maps)
def test_painted_polygons_are_the_classes(tmp_path, first, second):
    WRITE([Annotation("a.jpg", first), Annotation("b.jpg", second)], CLASSES, tmp_path / "tasks.json")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks] == ["a.jpg", "b.jpg"]
    check_task(tasks[0], first)
    check_task(tasks[1], second)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases(tmp_path, name):
    WRITE([Annotation("a.jpg", SPECIAL[name])], CLASSES, tmp_path / "tasks.json")
    [task] = json.loads((tmp_path / "tasks.json").read_text())
    check_task(task, SPECIAL[name])


def test_large_photo(tmp_path):
    """Percent are written with enough decimals for photos of many pixels."""
    labels = np.full((3, 6000), 255, dtype=np.uint8)
    labels[1, ::7] = 0
    labels[:, 5001] = 1
    WRITE([Annotation("a.jpg", labels)], CLASSES, tmp_path / "tasks.json")
    [task] = json.loads((tmp_path / "tasks.json").read_text())
    for region in task["predictions"][0]["result"]:
        points = [(x * 60, y * 0.03) for x, y in region["value"]["points"]]
        label = CLASSES.index(region["value"]["polygonlabels"][0])
        assert (labels[painted([points], labels.shape)] == label).all()


def test_fields(tmp_path):
    labels = drawn(".... ..1.")
    WRITE([Annotation("a.jpg", labels, url="/data/local-files/?d=a.jpg")], CLASSES, tmp_path / "tasks.json")
    [task] = json.loads((tmp_path / "tasks.json").read_text())
    [region] = task["predictions"][0].pop("result")
    assert task == {
        "data": {"image": "/data/local-files/?d=a.jpg"},
        "predictions": [{"model_version": "simformer"}],
    }
    assert sorted(map(tuple, region["value"].pop("points"))) == [
        (52.5, 75.0),
        (62.5, 55.0),
        (62.5, 95.0),
        (72.5, 75.0),
    ]
    assert region == {
        "id": "region1",
        "from_name": "label",
        "to_name": "image",
        "type": "polygonlabels",
        "original_width": 4,
        "original_height": 2,
        "image_rotation": 0,
        "value": {"closed": True, "polygonlabels": ["traffic light"]},
    }


def test_labeling_configuration_fits_the_tasks(tmp_path):
    out = tmp_path / "tasks.json"
    assert WRITE([Annotation("a.jpg", drawn("012"))], CLASSES, out) == [out, tmp_path / "tasks.xml"]
    [task] = json.loads(out.read_text())
    view = ElementTree.parse(tmp_path / "tasks.xml").getroot()
    image, labels = view.find("Image"), view.find("PolygonLabels")
    for region in task["predictions"][0]["result"]:
        assert region["from_name"] == labels.get("name")
        assert region["to_name"] == labels.get("toName") == image.get("name")
    assert image.get("value").removeprefix("$") in task["data"]
    assert {label.get("value"): label.get("background") for label in labels} == hex_colors(CLASSES)


def test_a_hole_is_not_filled(tmp_path):
    WRITE([Annotation("a.jpg", ring(31, 8))], CLASSES, tmp_path / "tasks.json")
    [task] = json.loads((tmp_path / "tasks.json").read_text())
    assert len(task["predictions"][0]["result"]) == 2
    check_task(task, ring(31, 8))
