"""Role sets drawn from known effects: what a fit must find again. No run measured any of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from simformer.costs.role_sets import MeasuredSets, RoleSet


@dataclass(frozen=True)
class Truth:
    """Known effects: of the logit of the share kept as novel, and of the points lost as base."""

    intercept: float
    count: float
    together: float
    classes: np.ndarray
    lost: float
    oracle: np.ndarray
    shares: np.ndarray
    set_noise: float
    class_noise: float
    seed_noise: float

    def kept(self, novel, shift=0.0):
        logit = self.intercept + self.count * novel.mean() + self.together * (self.shares @ novel) + self.classes
        return expit(logit + shift)

    def train(self, rng, name, novel, seeds=1):
        """A role set: the noise of the role set and its classes is common to the seeds."""
        kept = self.kept(novel, rng.normal() * self.set_noise)
        kept = kept + rng.normal(size=len(novel)) * self.class_noise * np.sqrt(kept * (1 - kept))
        lost = self.lost + rng.normal(size=len(novel)) * 4
        iou = np.where(novel, self.oracle * kept, self.oracle - lost)
        return RoleSet(name, novel, np.clip(iou + rng.normal(size=(seeds, len(novel))) * self.seed_noise, 0, 100))


def draw_truth(rng, classes=21, *, count=-4.0, together=0.0, class_sd=0.8, set_noise=0.2, class_noise=0.2):
    pairs = rng.uniform(size=(classes, classes)) ** 4
    np.fill_diagonal(pairs, 0)
    oracle = rng.uniform(60, 95, size=classes)
    effects = rng.normal(size=classes) * class_sd
    return Truth(2.2, count, together, effects, 2.0, oracle, pairs, set_noise, class_noise, 3.0)


def random_novel(rng, classes, fewest=2, most=None):
    novel = np.zeros(classes, dtype=bool)
    novel[rng.permutation(classes)[: rng.integers(fewest, (most or classes // 2 + 1) + 1)]] = True
    return novel


def draw_sets(rng, truth, number=16, repeated=4):
    """`number` role sets of random size, the first `repeated` of them with two seeds."""
    classes = len(truth.oracle)
    sets = [
        truth.train(rng, f"r{index:02}", random_novel(rng, classes), 2 if index < repeated else 1)
        for index in range(number)
    ]
    names = tuple(f"c{index:02}" for index in range(classes))
    return MeasuredSets("drawn", "SimFormer+", "drawn", names, truth.oracle, tuple(sets), truth.shares)
