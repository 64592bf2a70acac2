"""The photos that models are compared on: a folder data set, or photos that are in none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from simformer.datasets.examples import list_examples, load_example_truth
from simformer.errors import DatasetError, ImageError
from simformer.labels import VOID
from simformer.splits import dataset_classes, datasets
from simformer.utils.apart import load_apart

if TYPE_CHECKING:
    from torch import Tensor


class Photos(Protocol):
    """What is asked of a data set here; each method as in `FolderDataset`."""

    classes: tuple[str, ...]
    names: list[str]

    def photo_file(self, index: int) -> Path: ...

    def sample(self, index: int) -> tuple[Tensor, Tensor | None]: ...

    def image_labels(self, index: int) -> tuple[int, ...]: ...

    def all_image_labels(self) -> list[tuple[int, ...]]: ...


class LoosePhotos:
    """Photos that are in no data set.

    Args:
        files: photo by name.
        classes: those of the models that will look at them.
        truths: label map (uint8, H x W, 255 void) of the photos that have one, by name.
    """

    def __init__(
        self, files: Mapping[str, Path], classes: Sequence[str], truths: Mapping[str, NDArray[np.uint8]] | None = None
    ):
        self.classes = tuple(classes)
        self.names = list(files)
        self._files = list(files.values())
        self._truths = dict(truths or {})

    def photo_file(self, index: int) -> Path:
        """The photo's file."""
        return self._files[index]

    def sample(self, index: int) -> tuple[Tensor, Tensor | None]:
        """Photo (uint8 RGB, 3 x H x W) and label map (uint8, H x W; None if it has none).

        Raises:
            DatasetError: the photo cannot be decoded.
        """
        import torch

        try:
            photo = load_apart(self._files[index])
        except ImageError as error:
            raise DatasetError(str(error)) from error
        truth = self._truths.get(self.names[index])
        image = torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()
        # A copy: the outlines of an example are one array for all, which nobody may write into.
        return image, None if truth is None else torch.from_numpy(truth.copy())

    def image_labels(self, index: int) -> tuple[int, ...]:
        """Indices of the classes that the label map shows, ascending; none where there is no label map."""
        truth = self._truths.get(self.names[index])
        return () if truth is None else tuple(value for value in np.unique(truth).tolist() if value != VOID)

    def all_image_labels(self) -> list[tuple[int, ...]]:
        """`image_labels` of every photo."""
        return [self.image_labels(index) for index in range(len(self.names))]


def example_photos(classes: Sequence[str]) -> LoosePhotos:
    """The photos that installed packages carry, with the outlines of the classes if a data set has just these.

    Where some are outlined only those: on photos of nothing that models know there is nothing to compare.
    """
    examples = list_examples()
    files = {example.name: example.path for example in examples if example.path is not None}
    dataset = next((name for name in datasets() if dataset_classes(name) == tuple(classes)), None)
    outlined = {name: load_example_truth(name, dataset) for name in files} if dataset else {}
    truths = {name: truth for name, truth in outlined.items() if truth is not None}
    return LoosePhotos({name: path for name, path in files.items() if name in (truths or files)}, classes, truths)
