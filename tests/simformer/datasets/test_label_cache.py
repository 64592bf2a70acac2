"""What label maps show is kept beside large data sets, and read again where a map has changed."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from simformer.datasets import label_cache
from simformer.datasets.folder import FolderDataset
from simformer.errors import DatasetError
from simformer.labels import read_label_png

MAPS = {"a": np.array([[0, 2, 255]]), "b": np.array([[3, 3, 3]]), "c": None}
SHOWN = [(0, 2), (1, 3), (1,)]


@pytest.fixture
def root(dataset_root):
    return dataset_root(MAPS, [("b", "grass"), ("c", "grass")])


@pytest.fixture(autouse=True)
def read(monkeypatch):
    """Every data set is large enough; names of the label maps that are read."""
    names = []

    def count(path):
        names.append(path.stem)
        return read_label_png(path)

    monkeypatch.setattr(label_cache, "WORTH_KEEPING", 1)
    monkeypatch.setattr("simformer.datasets.folder.read_label_png", count)
    return names


def test_what_is_kept_comes_back(tmp_path):
    known = {"a": ((1_784_000_000_123_456_789, 3), (0, 5, 255)), "b": ((2, 3), ()), "c": ((2, 9), (149,))}
    label_cache.write_cache(tmp_path, known)
    assert label_cache.read_cache(tmp_path) == known
    (tmp_path / label_cache.FILE_NAME).write_bytes(b"PK damaged")
    assert label_cache.read_cache(tmp_path) == {}
    assert label_cache.read_cache(tmp_path / "nowhere") == {}
    label_cache.write_cache(tmp_path / "nowhere", known)  # cannot be written: nothing is kept


def test_label_maps_are_read_once(root, read):
    assert FolderDataset(root).all_image_labels() == SHOWN
    assert sorted(read) == ["a", "b"]
    assert FolderDataset(root).all_image_labels() == SHOWN
    (root / "image_labels.csv").write_text("photo,class\nc,dog\n")  # is no part of what is kept
    assert FolderDataset(root).all_image_labels() == [(0, 2), (3,), (3,)]
    assert sorted(read) == ["a", "b"]


def test_lists_share_what_is_kept(root, read):
    (root / "val.txt").write_text("b\n")
    FolderDataset(root, "val.txt").all_image_labels()
    assert FolderDataset(root).all_image_labels() == SHOWN
    assert FolderDataset(root, "val.txt").all_image_labels() == SHOWN[1:2]
    assert sorted(read) == ["a", "b"]


def test_a_changed_label_map_is_read_again(root, read):
    FolderDataset(root).all_image_labels()
    path = root / "labels" / "a.png"
    Image.fromarray(np.array([[1, 1, 1]], np.uint8)).save(path)
    os.utime(path, ns=(1, 1))
    read.clear()
    assert FolderDataset(root).all_image_labels() == [(1,), *SHOWN[1:]]
    assert read == ["a"]


def test_a_kept_value_without_a_class_is_an_error_still(root):
    FolderDataset(root).all_image_labels()
    (root / "classes.txt").write_text("sky\ngrass\ncat\n")
    with pytest.raises(DatasetError, match=r"b\.png holds the value 3, but there are 3 classes"):
        FolderDataset(root).all_image_labels()


def test_small_data_sets_keep_nothing(root, monkeypatch):
    monkeypatch.setattr(label_cache, "WORTH_KEEPING", 4)
    assert FolderDataset(root).all_image_labels() == SHOWN
    assert not (root / label_cache.FILE_NAME).exists()
