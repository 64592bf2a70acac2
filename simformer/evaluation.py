"""Confusion matrix and mean IoU over base, novel and all classes (paper, section "Experiments", metric).

One confusion matrix is kept over the whole set. Void pixels of the truth (255) are left out; an "unsure"
pixel of the prediction (255) counts as wrong. A class that the truth never shows has no IoU and is left out
of every mean.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simformer.errors import DatasetError, SimFormerError
from simformer.labels import VOID


@dataclass(frozen=True)
class Scores:
    """IoU scores of one confusion matrix, all in percent (0 to 100).

    Attributes:
        miou: mean IoU over all classes that the truth shows; None where it shows none.
        base, novel: the same over base and over novel classes; None where there are none to average.
        per_class: K values in class order; None for a class that the truth never shows.
        pixels: truth pixels compared, void left out.
        images: label maps compared.
    """

    miou: float | None
    base: float | None
    novel: float | None
    per_class: list[float | None]
    pixels: int
    images: int


class ConfusionMatrix:
    """Counts of (truth, predicted) pixel pairs over any number of photos.

    Attributes:
        counts: int64, K x (K + 1); row = truth, column = prediction, the last column = "unsure" (255).
        images: how many photos were counted.
    """

    def __init__(self, num_classes: int) -> None:
        if not 1 <= num_classes <= VOID:
            raise ValueError(f"a label map holds 1 to {VOID} classes, not {num_classes}")
        self.num_classes = num_classes
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
        self.images = 0

    def update(self, prediction: ArrayLike, truth: ArrayLike) -> None:
        """Count one photo.

        Args:
            prediction: H x W integers, class index or 255 for "unsure".
            truth: H x W integers, class index or 255 for void.

        Raises:
            DatasetError: the sizes differ, or a value is neither a class index nor 255.
        """
        prediction, truth = np.asarray(prediction), np.asarray(truth)
        if prediction.shape != truth.shape:
            raise DatasetError(f"the prediction is {_size(prediction)} pixels, but the label map is {_size(truth)}")
        labelled = truth != VOID
        rows = self._checked(truth[labelled], "the label map")
        columns = self._checked(prediction[labelled], "the prediction")
        # A pixel pair becomes one number, so that one bincount fills the whole matrix.
        columns = np.where(columns == VOID, self.num_classes, columns)
        pairs = rows * (self.num_classes + 1) + columns
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)
        self.images += 1

    def _checked(self, values: NDArray[Any], what: str) -> NDArray[np.int64]:
        values = values.astype(np.int64)
        wrong = values[(values != VOID) & ((values < 0) | (values >= self.num_classes))]
        if wrong.size:
            raise DatasetError(
                f"{what} holds the value {wrong[0]}, which is neither a class index "
                f"(0 to {self.num_classes - 1}) nor void ({VOID})"
            )
        return values

    def per_class(self) -> NDArray[np.float64]:
        """IoU of every class, K values in 0 to 1; NaN where the truth never shows the class."""
        truth = self.counts.sum(axis=1)
        correct = np.diagonal(self.counts)
        # Pixels predicted as the class, plus those it should have been, minus those counted twice.
        union = self.counts[:, : self.num_classes].sum(axis=0) + truth - correct
        return np.where(truth > 0, correct / np.maximum(union, 1), np.nan)

    def scores(self, novel: Collection[int] = ()) -> Scores:
        """Scores in percent; classes whose index is in `novel` are novel, all others base."""
        if any(not 0 <= index < self.num_classes for index in novel):
            raise ValueError(f"novel classes {sorted(novel)} are not all among {self.num_classes} classes")
        values = 100.0 * self.per_class()
        is_novel = np.isin(np.arange(self.num_classes), list(novel))
        return Scores(
            miou=_mean(values),
            base=_mean(values[~is_novel]),
            novel=_mean(values[is_novel]),
            per_class=[None if np.isnan(value) else float(value) for value in values],
            pixels=int(self.counts.sum()),
            images=self.images,
        )


def evaluate(
    segment: Callable[[Any], ArrayLike],
    dataset: Any,
    novel: Collection[int] = (),
    *,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> tuple[Scores, float]:
    """Segment every photo of a data set that has a label map and score the result.

    Args:
        segment: takes a photo (uint8 tensor, 3 x H x W, RGB), returns its label map (H x W, 255 = unsure).
        dataset: `classes`, `names`, `image(i)` and `label_map(i)` (H x W or None) as in FolderDataset.
        novel: indices of the novel classes.
        progress: wraps the iterable of photo indices, for example `tqdm`.

    Returns:
        The scores and the mean seconds that `segment` took per photo (reading files not counted).

    Raises:
        DatasetError: no photo has a label map, or one does not fit its photo or the classes; names it.
        SimFormerError: whatever `segment` or `dataset` raises.
    """
    matrix = ConfusionMatrix(len(dataset.classes))
    seconds = 0.0
    for index in progress(range(len(dataset.names))):
        truth = dataset.label_map(index)
        if truth is None:
            continue
        image = dataset.image(index)
        start = time.perf_counter()
        prediction = segment(image)
        seconds += time.perf_counter() - start
        try:
            matrix.update(prediction, truth)
        except SimFormerError as error:
            raise DatasetError(f"photo {dataset.names[index]}: {error}") from error
    if not matrix.images:
        raise DatasetError("no photo of the data set has a label map, so there is nothing to compare with")
    return matrix.scores(novel), seconds / matrix.images


def _mean(values: NDArray[np.float64]) -> float | None:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else None


def _size(labels: NDArray[Any]) -> str:
    return " x ".join(str(side) for side in reversed(labels.shape))
