"""What a model says of a photo that somebody is to draw masks in: where the classes are, and how unsure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from simformer.composition import Segmenter
from simformer.costs.frequency import SMALLEST_REGION
from simformer.export.components import without_small
from simformer.inference.resampling import labels_from_scores
from simformer.labels import VOID, value_counts
from simformer.utils.apart import load_apart
from simformer.weights import Card
from simformer.worklist.candidates import Candidate

GRID = 4
"""A photo's look is what is where on a grid of so many places a side."""
LEAST_AREA = 0.01
"""Share of the pixels from which on a class counts as shown, where only the model says what a photo shows."""


@dataclass(frozen=True)
class Look:
    """What is known of a photo once it has been looked at.

    Attributes:
        size: (height, width) of the photo.
        needed: indices of the chosen classes whose masks it needs.
        uncertainty: 0 to 1, mean over the pixels of 1 - (best - second) / (best + second) score; None without a model.
        features: float32, D, not negative.
        labels: uint8, H x W: where the model sees the needed classes, as their places among the chosen; 255 elsewhere.
            None without a model.
    """

    size: tuple[int, int]
    needed: frozenset[int]
    uncertainty: float | None
    features: NDArray[np.float32]
    labels: NDArray[np.uint8] | None


def best_model(cards: Mapping[str, Card], classes: Sequence[str], chosen: Sequence[str]) -> str | None:
    """Of the models of just these classes the one with the highest mean IoU over the chosen ones; of several the first.

    IoU as it stands in the card; one that was not measured comes last, CAM behind others. None where no model is of
    these classes.
    """
    places = [list(classes).index(name) for name in chosen]

    def worth(card: Card) -> tuple[float, bool]:
        known, with_masks = card.metrics.get("per_class"), card.kind != "cam"
        if not isinstance(known, list) or len(known) != len(classes):
            return -1.0, with_masks
        return float(np.mean([known[place] or 0.0 for place in places])), with_masks

    fitting = {name: worth(card) for name, card in cards.items() if card.classes == tuple(classes)}
    return max(fitting, key=lambda name: fitting[name]) if fitting else None


def look_at(candidate: Candidate, chosen: Sequence[int], segmenter: Segmenter | None) -> Look:
    """Look at a photo.

    Where image labels say what it shows, the model sees no other of the chosen classes in it.

    Args:
        chosen: indices of the classes that get masks. segmenter: None = nobody looks, only the photo's colors are used.

    Raises:
        ImageError: the photo cannot be read.
    """
    image = load_apart(candidate.path)
    size = (image.height, image.width)
    if segmenter is None:
        small = np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float32)
        return Look(size, candidate.needed(frozenset(chosen)) or frozenset(), None, small.ravel(), None)
    scores = segmenter.segment(image).score_maps
    best, second = np.partition(scores, -2, axis=0)[[-1, -2]] if len(scores) > 1 else (scores[0], 0 * scores[0])
    uncertainty = float(np.mean(1 - (best - second) / np.maximum(best + second, 1e-12)))
    features = F.adaptive_avg_pool2d(torch.from_numpy(scores), GRID).numpy().ravel()
    if candidate.shown is not None:
        # Of the other classes nobody needs to have said which are there.
        absent = [index for index in chosen if index not in candidate.shown]
        scores = scores.copy()
        scores[absent] = 0
    labels = labels_from_scores(scores, size)
    needed = candidate.needed(frozenset(chosen))
    if needed is None:
        areas = value_counts(labels) / labels.size
        needed = frozenset(index for index in chosen if areas[index] >= LEAST_AREA)
    places = np.full(VOID + 1, VOID, dtype=np.uint8)
    for place, index in enumerate(chosen):
        if index in needed:
            places[index] = place
    drawn = without_small(places[labels], max(1, round(SMALLEST_REGION * labels.size)))
    return Look(size, needed, uncertainty, features, drawn)
