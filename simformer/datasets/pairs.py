"""Choosing the reference image of a pair (paper, section 3.3: pixel-pixel similarity transfer)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simformer.errors import ConfigError

Pairing = Literal["cross", "self", "none"]

RAREST_PROBABILITY = 0.01


class ReferenceChooser:
    """Chooses for an input image the reference image with which its pixels are compared.

    "cross" prefers images that share exactly one novel class with the input, so that what their unlabelled
    regions have in common can only be that class: one of the input's novel classes is drawn, then one of the
    images that share just this one. Where there are none, any image that shares a novel class will do, then
    any that shares a base class, then the input itself. "self" always takes the input ("Self-Pair").

    With `candidate_caps` an input has no more candidates than that: the same ones in every run.
    """

    def __init__(
        self,
        image_labels: Sequence[Sequence[int]],
        novel: Sequence[int],
        base: Sequence[int],
        mode: Literal["cross", "self"] = "cross",
        candidate_caps: tuple[int, int] | None = None,
        unmasked: Collection[int] = (),
    ):
        """
        Args:
            image_labels: class indices that each image shows.
            novel, base: class indices of each role.
            mode: "cross" or "self"; without pairs ("none") there is nothing to choose.
            candidate_caps: how many images that share exactly one novel class an input has for each of its classes, and
                how many others where it has none of these; (500, 50) in the released code. None: all there are.
            unmasked: images without masks, on which base classes are known as novel ones are.

        Raises:
            ConfigError: another mode, or a cap below 1.
        """
        if mode not in ("cross", "self"):
            raise ConfigError(f"references are chosen for the pairings cross and self, not for {mode!r}")
        if candidate_caps is not None and min(candidate_caps) < 1:
            raise ConfigError(f"candidate caps must be at least 1, not {candidate_caps[0]} and {candidate_caps[1]}")
        self.mode = mode
        self._cap_alone, self._cap_others = candidate_caps or (len(image_labels), len(image_labels))
        shown = np.zeros((len(image_labels), 1 + max([*novel, *base], default=0)), dtype=bool)
        for image, labels in enumerate(image_labels):
            shown[image, list(labels)] = True
        masked = np.ones((len(image_labels), 1), dtype=bool)
        masked[list(unmasked)] = False
        of_base = shown[:, list(base)]
        self._novel = np.concatenate((shown[:, list(novel)], of_base & ~masked), axis=1)
        self._base = of_base & masked

    def choose(self, index: int, rng: np.random.Generator) -> int:
        """Index of the reference for the input `index`."""
        if self.mode == "self":
            return index
        shared = self._novel[:, self._novel[index]]
        others = np.arange(len(shared)) != index
        alone = shared & (shared.sum(1) == 1)[:, None] & others[:, None]
        counts = alone.sum(0).clip(max=self._cap_alone)
        if counts.any():
            usable = np.flatnonzero(counts)
            rarest = rng.random() < RAREST_PROBABILITY
            chosen = usable[counts[usable].argmin()] if rarest else rng.choice(usable)
            return int(rng.choice(capped(np.flatnonzero(alone[:, chosen]), self._cap_alone, index)))
        for alike in (shared, self._base[:, self._base[index]]):
            candidates = np.flatnonzero(alike.any(1) & others)
            if candidates.size:
                return int(rng.choice(capped(candidates, self._cap_others, index)))
        return index


def capped(candidates: NDArray[np.intp], cap: int, index: int) -> NDArray[np.intp]:
    """The candidates of the input `index`, or `cap` of them: drawn at random, but alike whenever they are asked for."""
    if len(candidates) <= cap:
        return candidates
    return np.random.default_rng(index).choice(candidates, cap, replace=False)
