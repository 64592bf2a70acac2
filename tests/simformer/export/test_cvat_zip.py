from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from label_maps import CLASSES, SPECIAL, drawn, label_maps
from PIL import Image
from scipy import ndimage

from simformer.errors import SimFormerError
from simformer.export import FORMATS, Annotation
from simformer.export.cvat import voc_colors

WRITE = FORMATS["cvat"].write
# The beginning of the list in the Pascal VOC development kit.
VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]


def read_zip(path):
    """(label map: name -> color, {photo: (class image, object image)}), as CVAT finds them."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.read("ImageSets/Segmentation/default.txt").decode().splitlines()
        colors = {}
        for line in archive.read("labelmap.txt").decode().splitlines():
            if not line.startswith("#"):
                name, color, parts, actions = line.split(":")
                assert (parts, actions) == ("", "") and name not in colors
                colors[name] = tuple(int(value) for value in color.split(","))
        images = {}
        for name in names:
            pair = []
            for folder in ("SegmentationClass", "SegmentationObject"):
                with Image.open(io.BytesIO(archive.read(f"{folder}/{name}.png"))) as image:
                    assert image.mode == "RGB"
                    pair.append(np.array(image))
            images[name] = tuple(pair)
        expected = {"labelmap.txt", "ImageSets/Segmentation/default.txt"} | {
            f"{folder}/{name}.png" for folder in ("SegmentationClass", "SegmentationObject") for name in names
        }
        assert set(archive.namelist()) == expected
    assert len(set(colors.values())) == len(colors), "two labels of one color"
    return colors, images


def check_zip(path, maps: dict[str, np.ndarray], classes=CLASSES) -> None:
    colors, images = read_zip(path)
    assert list(colors) == ["background", *classes]
    assert colors["background"] == (0, 0, 0)
    assert set(images) == set(maps)
    for name, (class_image, object_image) in images.items():
        labels = maps[name]
        rebuilt = np.full(labels.shape, -1)
        for label, color in enumerate(["background", *classes]):
            rebuilt[(class_image == colors[color]).all(-1)] = 255 if label == 0 else label - 1
        assert np.array_equal(rebuilt, labels)
        check_objects(object_image, labels)


def check_objects(object_image: np.ndarray, labels: np.ndarray) -> None:
    assert np.array_equal((object_image == 0).all(-1), labels == 255), "black is where no object is"
    objects, numbers = np.unique(object_image.reshape(-1, 3), axis=0, return_inverse=True)
    assert {tuple(color) for color in objects} <= {tuple(color) for color in voc_colors()}
    numbers = numbers.reshape(labels.shape)
    components = sum(ndimage.label(labels == label)[1] for label in np.unique(labels) if label != 255)
    assert len(objects) - (255 in labels) <= min(components, 255)
    for number, color in enumerate(objects):
        region = numbers == number
        assert len(np.unique(labels[region])) == 1, "an object of two classes"
        if components <= 255 and color.any():
            assert ndimage.label(region)[1] == 1, "an object of two components"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label_maps, label_maps)
def test_colors_lead_back_to_the_label_maps(tmp_path, first, second):
    out = tmp_path / "masks.zip"
    annotations = [Annotation("one.jpg", first), Annotation("folder/two.v2.png", second)]
    assert WRITE(annotations, CLASSES, out) == [out]
    check_zip(out, {"one": first, "folder/two.v2": second})


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases(tmp_path, name):
    WRITE([Annotation("photo.jpg", SPECIAL[name])], CLASSES, tmp_path / "masks.zip")
    check_zip(tmp_path / "masks.zip", {"photo": SPECIAL[name]})


def test_more_components_than_pascal_voc_has_colors(tmp_path):
    labels = (np.indices((20, 30)).sum(0) % 2).astype(np.uint8)
    labels[5:15, 5:15] = 2
    WRITE([Annotation("photo.jpg", labels)], CLASSES, tmp_path / "masks.zip")
    check_zip(tmp_path / "masks.zip", {"photo": labels})
    _, images = read_zip(tmp_path / "masks.zip")
    first = images["photo"][1][5:15, 5:15].reshape(-1, 3)
    assert {tuple(color) for color in first.tolist()} == {(128, 0, 0)}, "the largest has a number of its own"


def test_pascal_voc_colors():
    assert [tuple(color) for color in voc_colors()[: len(VOC)].tolist()] == VOC
    assert tuple(voc_colors()[255]) == (224, 224, 192)
    assert len(np.unique(voc_colors(), axis=0)) == 256


def test_many_classes_have_different_colors(tmp_path):
    classes = [f"class {number}" for number in range(255)]
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    WRITE([Annotation("photo.jpg", labels)], classes, tmp_path / "masks.zip")
    check_zip(tmp_path / "masks.zip", {"photo": labels}, classes)


def test_a_class_called_background_keeps_its_name(tmp_path):
    labels = drawn("01.")
    WRITE([Annotation("photo.jpg", labels)], ["background", "void"], tmp_path / "masks.zip")
    colors, images = read_zip(tmp_path / "masks.zip")
    assert list(colors) == ["unsure", "background", "void"]
    assert colors["unsure"] == (0, 0, 0)
    assert tuple(images["photo"][0][0, 0]) == colors["background"] != (0, 0, 0)


@pytest.mark.parametrize("name", ["a:b", "#1", " sky", "sky\t", "two\nlines"])
def test_class_names_that_a_label_map_cannot_hold(tmp_path, name):
    with pytest.raises(SimFormerError, match="CVAT"):
        WRITE([Annotation("photo.jpg", drawn("0"))], [name], tmp_path / "masks.zip")
    assert list(tmp_path.iterdir()) == []


def test_photo_names_that_look_like_comments(tmp_path):
    with pytest.raises(SimFormerError, match=r"#1\.jpg"):
        WRITE([Annotation("#1.jpg", drawn("0"))], CLASSES, tmp_path / "masks.zip")
    assert list(tmp_path.iterdir()) == []
