"""In which order photos are worth drawing in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Ranked(NamedTuple):
    """A photo's place. index: of the photo. usefulness: when it was chosen. variety: 0 (as one before it) to 1."""

    index: int
    usefulness: float
    variety: float


def most_useful_first(
    needed: NDArray[np.bool_],
    drawn: NDArray[np.int64],
    uncertainty: NDArray[np.float64],
    looks: NDArray[np.float32],
    most: int,
) -> list[Ranked]:
    """Photos, each the most useful beside those before it.

    usefulness = sum over the classes needed of 1 / (1 + photos that have masks of the class by then)
                 x (1 + the model's uncertainty) x (1 + variety)

    so a class that has no masks yet comes before one that has many; where nothing is known of uncertainty and variety
    the classes decide alone. It is a rule of thumb: what it gains in IoU over another order is not measured.

    Args:
        needed: N x C, which of the chosen classes a photo needs masks of.
        drawn: C, photos that have masks of each of them already.
        uncertainty: N, 0 to 1.
        looks: N x D, not negative; what a photo looks like to the model. Photos alike have equal directions.
        most: as many photos at most.

    Returns:
        At most `most` of the photos that need masks.
    """
    photos_with = drawn.astype(float)
    left: NDArray[np.bool_] = np.any(needed, axis=1)
    directions = looks / np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-12)
    variety = np.ones(len(needed))
    ranked: list[Ranked] = []
    while left.any() and len(ranked) < most:
        usefulness = needed @ (1 / (1 + photos_with)) * (1 + uncertainty) * (1 + variety)
        index = int(np.argmax(np.where(left, usefulness, -1)))
        ranked.append(Ranked(index, float(usefulness[index]), float(variety[index])))
        left[index] = False
        photos_with += needed[index]
        variety = np.minimum(variety, np.clip(1 - directions @ directions[index], 0, 1))
    return ranked
