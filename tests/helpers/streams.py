"""Streams over tiny data sets, and what stands in TrainTransform's place in their tests."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simformer.datasets.folder import FolderDataset
from simformer.datasets.weakshot import WeakShotBatch, WeakShotStream
from simformer.splits import Split, custom_split

CLASSES = ("sky", "grass", "cat", "dog")
SPLIT = custom_split(CLASSES, ["grass", "dog"])  # novel: 1 and 3


class Rows:
    """Keeps the topmost `count` rows of a photo, all by default.

    Attributes:
        seen: values of the label maps it got. calls: how many.
    """

    def __init__(self, count: int | None = None):
        self.count = count
        self.seen: set[int] = set()
        self.calls = 0

    def with_maps(self, image: Tensor, labels: Tensor, maps: Tensor | None) -> tuple:
        self.seen |= set(labels.unique().tolist())
        self.calls += 1
        labels = labels[: self.count]
        return image[:, : self.count], labels, torch.zeros_like(labels, dtype=torch.bool), maps


class RowByRow:
    """Keeps one row: the first one the first time, then the next, and so on; `calls` counts the times."""

    def __init__(self) -> None:
        self.calls = 0

    def with_maps(self, image: Tensor, labels: Tensor, maps: Tensor | None) -> tuple:
        row = slice(self.calls % len(labels), self.calls % len(labels) + 1)
        self.calls += 1
        return image[:, row], labels[row], torch.zeros_like(labels[row], dtype=torch.bool), maps


def rows_of(labels: list[int]) -> np.ndarray:
    """An 8 x 8 label map with these values in its top rows, void below."""
    rows = np.full((8, 8), 255, np.uint8)
    rows[: len(labels)] = np.array(labels, np.uint8)[:, None]
    return rows


def stream(data: FolderDataset, transform=None, split: Split = SPLIT, **options) -> WeakShotStream:
    """Of whole photos, unless there is a transform."""
    return WeakShotStream(data, split, transform or Rows(), **{"batch": 4, "steps": 8, **options})


def indices(batch: WeakShotBatch, data: FolderDataset) -> list[int]:
    """Which photos a batch of whole photos holds."""
    photos = [data.image(index).float() for index in range(len(data))]
    return [next(i for i, photo in enumerate(photos) if torch.equal(photo, image)) for image in batch.images]
