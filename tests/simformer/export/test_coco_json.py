from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from label_maps import CLASSES, SPECIAL, drawn, label_maps
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage

from simformer.export import FORMATS, Annotation

WRITE = FORMATS["coco"].write


def check_file(path, maps: dict[str, np.ndarray]) -> None:
    """Read the file with pycocotools and compare every image with its label map."""
    coco = COCO(str(path))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert {image["file_name"] for image in coco.imgs.values()} == set(maps)
    assert 0 not in coco.anns and 0 not in coco.imgs and 0 not in coco.cats
    for image_id, image in coco.imgs.items():
        labels = maps[image["file_name"]]
        assert (image["height"], image["width"]) == labels.shape
        rebuilt = np.full_like(labels, 255)
        for entry in coco.loadAnns(coco.getAnnIds(imgIds=[image_id])):
            mask = coco.annToMask(entry).astype(bool)
            assert ndimage.label(mask)[1] == 1, "several blobs, or none, in one annotation"
            assert entry["area"] == rle.area(entry["segmentation"]) == mask.sum()
            assert entry["bbox"] == rle.toBbox(entry["segmentation"]).tolist()
            assert entry["iscrowd"] == 0
            assert (rebuilt[mask] == 255).all()
            rebuilt[mask] = entry["category_id"] - 1
        assert np.array_equal(rebuilt, labels)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label_maps, label_maps)
def test_pycocotools_decodes_the_same_masks(tmp_path, capsys, first, second):
    maps = {"one.jpg": first, "folder/two.png": second}
    out = tmp_path / "annotations.json"
    assert WRITE((Annotation(name, labels) for name, labels in maps.items()), CLASSES, out) == [out]
    check_file(out, maps)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases(tmp_path, name):
    WRITE([Annotation("photo.jpg", SPECIAL[name])], CLASSES, tmp_path / "annotations.json")
    check_file(tmp_path / "annotations.json", {"photo.jpg": SPECIAL[name]})


def test_fields(tmp_path):
    labels = drawn("...22 .1122 .1.22")
    annotations = [
        Annotation("b/photo 1.jpg", labels, url="https://example.org/photo%201.jpg"),
        Annotation("a.png", drawn("..")),
    ]
    WRITE(annotations, CLASSES, tmp_path / "annotations.json")
    content = json.loads((tmp_path / "annotations.json").read_text())
    assert content["images"] == [
        {
            "id": 1,
            "file_name": "b/photo 1.jpg",
            "width": 5,
            "height": 3,
            "coco_url": "https://example.org/photo%201.jpg",
        },
        {"id": 2, "file_name": "a.png", "width": 2, "height": 1},
    ]
    assert content["categories"] == [
        {"id": 1, "name": "sky", "supercategory": ""},
        {"id": 2, "name": "traffic light", "supercategory": ""},
        {"id": 3, "name": "Bäume & <Gräser>", "supercategory": ""},
    ]
    masks = [entry.pop("segmentation") for entry in content["annotations"]]
    assert content["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 2, "area": 3, "bbox": [1, 1, 2, 2], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 3, "area": 6, "bbox": [3, 0, 2, 3], "iscrowd": 0},
    ]
    # The very text that pycocotools makes of the whole mask.
    for mask, label in zip(masks, (1, 2), strict=True):
        whole = rle.encode(np.asfortranarray(labels == label))
        assert mask == {"size": [3, 5], "counts": whole["counts"].decode()}


def test_smallest_area(tmp_path):
    labels = drawn("000. 002. ..22")
    WRITE([Annotation("a.jpg", labels)], CLASSES, tmp_path / "a.json", min_area=2)
    check_file(tmp_path / "a.json", {"a.jpg": drawn("000. 002. ..22")})


def test_found_again_by_pycocotools_evaluation(tmp_path, capsys):
    """Masks with holes, scored against themselves: a wrong id, a crowd or a wrong area costs precision."""
    labels = np.kron(drawn("0001112 0.01.12 0001112"), np.ones((20, 20), dtype=np.uint8))
    WRITE([Annotation("a.jpg", labels)], CLASSES, tmp_path / "a.json")
    truth = COCO(str(tmp_path / "a.json"))
    predictions = [
        {key: entry[key] for key in ("image_id", "category_id", "segmentation")} | {"score": 1.0}
        for entry in truth.anns.values()
    ]
    evaluation = COCOeval(truth, truth.loadRes(predictions), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)
