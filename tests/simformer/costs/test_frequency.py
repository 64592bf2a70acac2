from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from simformer.costs.frequency import (
    ClassFrequency,
    count_classes,
    count_pairs,
    csv_frequency,
    folder_frequency,
    shipped_counts,
    shipped_frequency,
    shipped_together,
)
from simformer.datasets.folder import FolderDataset
from simformer.errors import ConfigError, DatasetError
from simformer.splits import dataset_classes


@pytest.fixture
def photos(tmp_path):
    """Two 40 x 50 photos with label maps and one with image-level labels alone.

    a: two cats that touch in a corner, one apart, a speck of one pixel; sky elsewhere.
    b: void, and one pixel of boat. c: cat and boat by name.
    """
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "classes.txt").write_text("sky\ncat\nboat\ndog\n")
    (tmp_path / "train.txt").write_text("a\nb\nc\n")
    (tmp_path / "image_labels.csv").write_text("photo,class\nc,cat\nc,boat\n")
    a = np.zeros((40, 50), dtype=np.uint8)
    a[2:6, 2:6] = a[6:10, 6:10] = 1
    a[20:25, 20:25] = 1
    a[39, 49] = 1
    b = np.full((40, 50), 255, dtype=np.uint8)
    b[3, 3] = 2
    for name, labels in (("a", a), ("b", b), ("c", None)):
        Image.new("RGB", (50, 40)).save(tmp_path / "images" / f"{name}.png")
        if labels is not None:
            Image.fromarray(labels).save(tmp_path / "labels" / f"{name}.png")
    return tmp_path


def test_photos_and_regions_are_counted(photos):
    rows = {row.pop("name"): row for row in count_classes(FolderDataset(photos))}
    assert rows == {
        "sky": {"images": 1, "label_maps": 1, "regions": 1},
        # A pixel is 1/2000 of the photo, less than the smallest region.
        "cat": {"images": 2, "label_maps": 1, "regions": 2},
        # Too small, but all there is of it.
        "boat": {"images": 2, "label_maps": 1, "regions": 1},
        "dog": {"images": 0, "label_maps": 0, "regions": 0},
    }


def test_photos_of_pairs_are_counted(photos):
    assert count_pairs(FolderDataset(photos)) == [[1, 1, 0, 0], [1, 2, 1, 0], [0, 1, 2, 0], [0, 0, 0, 0]]


def test_smaller_regions_count_if_asked_for(photos):
    assert count_classes(FolderDataset(photos), smallest=0)[1]["regions"] == 3


def test_frequencies_of_a_folder(photos):
    sky, cat, boat, dog = folder_frequency(photos)
    assert (sky.share, sky.instances) == (1 / 3, 1)
    assert (cat.share, cat.instances) == (2 / 3, 2)
    assert (boat.share, boat.instances) == (2 / 3, 1)
    assert (dog.share, dog.instances) == (0, None)


def test_a_folder_that_is_no_data_set(tmp_path):
    with pytest.raises(DatasetError, match=r"classes\.txt"):
        folder_frequency(tmp_path)


@pytest.mark.parametrize("dataset, images", [("msrc21", 391), ("nyuv2", 795)])
def test_shipped_counts_belong_to_the_data_set(dataset, images):
    counts, classes = shipped_counts(dataset), shipped_frequency(dataset)
    assert (counts["dataset"], counts["images"]) == (dataset, images)
    assert counts["command"] == f"python -m train.prepare.class_frequency ROOT {dataset} --list train.txt"
    assert [frequency.name for frequency in classes] == list(dataset_classes(dataset))
    for row, frequency in zip(counts["classes"], classes, strict=True):
        assert 0 < row["images"] <= counts["images"]
        assert row["regions"] >= row["label_maps"] == row["images"]
        assert frequency.share == row["images"] / counts["images"]
        assert frequency.instances == row["regions"] / row["images"]


@pytest.mark.parametrize("dataset", ["msrc21", "nyuv2"])
def test_shipped_pairs_belong_to_the_counts(dataset):
    counts = shipped_counts(dataset)
    pairs = np.array(counts["pairs"])
    assert np.diag(pairs).tolist() == [row["images"] for row in counts["classes"]]
    assert np.array_equal(pairs, pairs.T)
    assert (pairs <= np.diag(pairs)).all()
    classes = dataset_classes(dataset)[::-1]
    together = shipped_together(dataset, classes)
    assert np.diag(together).tolist() == [0] * len(classes)
    assert together[2, 5] == pairs[::-1, ::-1][2, 5] / pairs[::-1, ::-1][2, 2]
    assert shipped_together(dataset, classes[1:]) is None and shipped_together("ade20k", classes) is None


def test_counts_that_do_not_ship():
    with pytest.raises(ConfigError, match=r"coco_stuff_10k.*msrc21, nyuv2"):
        shipped_frequency("coco_stuff_10k")


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "classes.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_of_shares(tmp_path):
    path = written(tmp_path, 'class,share,instances\n"road, route",0.5,2.5\nsky, 1 ,\n', "utf-8-sig")
    assert csv_frequency(path) == (
        ClassFrequency(name="road, route", share=0.5, instances=2.5),
        ClassFrequency(name="sky", share=1, instances=None),
    )
    assert csv_frequency(written(tmp_path, "class,share\nsky,0.25\n"))[0].share == 0.25


def test_csv_of_occurrences(tmp_path):
    path = written(tmp_path, "photo,class\na.jpg,sky\na.jpg,cat\nb.jpg,sky\nb.jpg,sky\nc.jpg,sky\n")
    sky, cat = csv_frequency(path)
    assert (sky.name, sky.share) == ("sky", 1.0)
    assert (cat.name, cat.share) == ("cat", 1 / 3)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("class;share\nsky;1\n", "must begin with"),
        ("class,share\n", "names no class"),
        ("photo,class\n", "names no class"),
        ("class,share\nsky,1\ncat,12%\n", "line 3: share"),
        ("class,share\nsky,12\n", "line 2: share"),
        ("class,share\nsky,\n", "line 2: share"),
        ("class,share\n,0.5\n", "line 2: name"),
        ("class,share,instances\nsky,0.5,0.2\n", "line 2: instances"),
        ("", "must begin with"),
    ],
)
def test_bad_csv_is_named(tmp_path, text, named):
    with pytest.raises(ConfigError, match=f"classes.csv.*{named}"):
        csv_frequency(written(tmp_path, text))


def test_csv_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="not UTF-8"):
        csv_frequency(written(tmp_path, "class,share\nhäuser,1\n", "latin-1"))
    with pytest.raises(ConfigError, match="cannot be read"):
        csv_frequency(tmp_path / "none.csv")
