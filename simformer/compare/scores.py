"""How well a prediction shows the classes of one photo: IoU, recall and precision.

The paper's words for pseudo masks hold for predictions as well: a class is under-expanded where much of it is missed
(low recall), over-expanded where it covers much else (low precision).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from simformer.evaluation import ConfusionMatrix

Expansion = Literal["under-expanded", "over-expanded"]
LOW = 50.0
"""Percent; a recall or a precision below it is low."""


@dataclass(frozen=True)
class ClassPixels:
    """Labelled pixels of one class in one photo; void pixels of the truth are left out.

    Attributes:
        truth: those that are of the class. predicted: those predicted as it. right: those of which both are true.
    """

    truth: int
    predicted: int
    right: int

    @property
    def iou(self) -> float:
        """Percent; 0 where the class is only predicted."""
        return 100 * self.right / (self.truth + self.predicted - self.right)

    @property
    def recall(self) -> float | None:
        """Percent of the class that is found; None where the truth does not show it."""
        return 100 * self.right / self.truth if self.truth else None

    @property
    def precision(self) -> float | None:
        """Percent of the prediction that is right; None where the class is not predicted."""
        return 100 * self.right / self.predicted if self.predicted else None

    @property
    def expansion(self) -> frozenset[Expansion]:
        """What is wrong with the prediction of a class that the truth shows; may be both, or nothing."""
        if not self.truth:
            return frozenset()
        low: dict[Expansion, float | None] = {"under-expanded": self.recall, "over-expanded": self.precision}
        return frozenset(word for word, value in low.items() if value is not None and value < LOW)


PhotoPixels = Mapping[int, ClassPixels]
"""Of every class that truth or prediction shows, by its index."""


def count_pixels(prediction: ArrayLike, truth: ArrayLike, num_classes: int) -> PhotoPixels:
    """Compare a prediction with the truth.

    Args:
        prediction, truth: H x W integers, class index or 255 (unsure, void).

    Raises:
        DatasetError: the sizes differ, or a value is neither a class index nor 255.
    """
    matrix = ConfusionMatrix(num_classes)
    matrix.update(prediction, truth)
    of_truth, right = matrix.counts.sum(axis=1), np.diagonal(matrix.counts)
    predicted = matrix.counts[:, :num_classes].sum(axis=0)
    shown = np.flatnonzero(of_truth + predicted).tolist()
    return {index: ClassPixels(int(of_truth[index]), int(predicted[index]), int(right[index])) for index in shown}


def mean_iou(pixels: PhotoPixels, classes: Collection[int]) -> float | None:
    """Mean IoU in percent over those of the classes that the truth shows; None if it shows none of them."""
    values = [found.iou for index, found in pixels.items() if index in classes and found.truth]
    return sum(values) / len(values) if values else None


def expansions(pixels: PhotoPixels, classes: Collection[int]) -> dict[int, frozenset[Expansion]]:
    """Those of the classes that are under- or over-expanded, and in which way."""
    return {index: found.expansion for index, found in pixels.items() if index in classes and found.expansion}
