"""A gallery of drawn photos and tiny models, and predictions that are drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from compared import write_models, write_photos
from PIL import Image

from simformer.compare.columns import find_columns
from simformer.compare.gallery import Gallery
from simformer.compare.predictions import Predictions
from simformer.datasets.folder import FolderDataset

CLASSES = ("sky", "grass", "cat")


@pytest.fixture
def runs(tmp_path, make_card):
    return write_models(tmp_path / "runs", make_card)


@pytest.fixture
def root(tmp_path):
    return write_photos(tmp_path / "scenes", 6, CLASSES)


@pytest.fixture
def gallery(root, runs, tmp_path):
    """A new one with six photos."""
    dataset = FolderDataset(root, "val.txt")
    return Gallery(dataset, find_columns(CLASSES, [runs]), Predictions(tmp_path / "cache"))


@pytest.fixture
def drawn(runs, tmp_path):
    """Three photos a, b, c of 40 x 60 pixels, each with a cat (2) in the left half on grass (1), and a gallery that
    is told what SimFormer and CAM say: SimFormer is right on a and finds nothing on c, CAM half of the cat on a and b
    and everything on c; SimFormer on b says cat everywhere.
    """
    root = tmp_path / "drawn"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("\n".join(CLASSES))
    truth = np.ones((40, 60), dtype=np.uint8)
    truth[:, :30] = 2
    half, nothing, everywhere = truth.copy(), np.ones_like(truth), np.full_like(truth, 2)
    half[20:, :30] = 1
    for name in "abcd":
        Image.new("RGB", (60, 40)).save(root / "images" / f"{name}.png")
        Image.fromarray(nothing if name == "d" else truth).save(root / "labels" / f"{name}.png")
    dataset = FolderDataset(root, None)
    predictions = Predictions(tmp_path / "drawn-cache")
    gallery = Gallery(dataset, find_columns(CLASSES, [runs]), predictions)
    columns = {column.name: column for column in gallery.columns("s1")}
    said = {"SimFormer": (truth, everywhere, nothing), "CAM": (half, half, truth)}
    for name, maps in said.items():
        for index, labels in enumerate(maps):
            predictions._keep(predictions._file(columns[name], dataset.photo_file(index)), labels)
    return gallery
