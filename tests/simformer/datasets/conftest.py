"""Small data sets on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simformer.datasets.folder import FolderDataset

CLASSES = ("sky", "grass", "cat", "dog")

WriteDataset = Callable[..., Path]


def write_dataset(
    root: Path,
    label_maps: Mapping[str, np.ndarray | None],
    image_labels: Sequence[tuple[str, str]] = (),
    classes: Sequence[str] = CLASSES,
) -> Path:
    """Photos of noise with the given label maps (None: the photo has none and is 6 x 8 pixels)."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, labels in label_maps.items():
        shape = (6, 8) if labels is None else labels.shape
        photo = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(photo).save(root / "images" / f"{name}.png")
        if labels is not None:
            Image.fromarray(labels.astype(np.uint8)).save(root / "labels" / f"{name}.png")
    (root / "classes.txt").write_text("\n".join(classes) + "\n")
    (root / "train.txt").write_text("\n".join(label_maps) + "\n")
    if image_labels:
        rows = [f"{photo},{name}" for photo, name in image_labels]
        (root / "image_labels.csv").write_text("\n".join(["photo,class", *rows]) + "\n")
    return root


@pytest.fixture
def dataset_root(tmp_path) -> WriteDataset:
    """write_dataset into a fresh folder: dataset_root(label_maps, image_labels, classes) -> its path."""
    return lambda *args, **options: write_dataset(tmp_path / "data", *args, **options)


@pytest.fixture
def dataset(dataset_root) -> Callable[..., FolderDataset]:
    """The same, opened."""
    return lambda *args, **options: FolderDataset(dataset_root(*args, **options))
