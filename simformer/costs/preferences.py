"""Whether expectations choose well: of two role sets that cost about the same, which one is better to train.

A plan decides between choices of masked classes for one budget. So every pair of measured role sets whose costs are
close is put to fits that know neither of the two, nor the role sets nested with either.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from simformer.costs.expectation import RoleModel, fit_roles
from simformer.costs.frequency import ClassFrequency
from simformer.costs.inputs import cost_inputs
from simformer.costs.role_fits import TERMS
from simformer.costs.role_sets import MeasuredSets, RoleSet
from simformer.costs.scenarios import plan_cost

CLOSE = 0.1
"""Costs differ by less than this share of the dearer one's."""
SIZES = (0.0, 1.0, 2.0, 4.0, float("inf"))
"""Bounds of the groups of pairs: by how many points of all-class mIoU the two differ, measured."""
_FEWEST_LEFT = 2


@dataclass(frozen=True)
class Preference:
    """Pairs of role sets that cost about the same, and how often the better one was expected to be better.

    Attributes:
        least, most: measured difference of the pairs' all-class mIoU, from `least` to below `most` points.
        pairs: how many there are.
        by_model, by_count: share (0 to 1) of them in which the better role set is expected to be better, by the model
            with whichever terms predict better, and by the number of novel classes alone (and FullyOracle's IoU of
            them); equal expectations are half right. None without pairs.
    """

    least: float
    most: float
    pairs: int
    by_model: float | None
    by_count: float | None


def preferences(
    measured: MeasuredSets, frequencies: Sequence[ClassFrequency], sizes: Sequence[float] = SIZES
) -> tuple[Preference, ...]:
    """All pairs, by the size of the difference; the last row is all of them together.

    Args:
        frequencies: of the classes, from which masks and image labels cost what they cost by default.
    """
    money = {one.name: role_set_cost(one, measured.classes, frequencies) for one in measured.sets}
    differences, right = [], []
    for pair in combinations(measured.sets, 2):
        first, second = (money[one.name] for one in pair)
        if abs(first - second) >= CLOSE * max(first, second):
            continue
        others = measured.unrelated_to(pair[0]).unrelated_to(pair[1])
        if len(others.sets) < _FEWEST_LEFT:
            continue
        difference = _mean(pair[0]) - _mean(pair[1])
        differences.append(abs(difference))
        right.append([_right(model, pair, difference) for model in _models(others)])
    size, correct = np.array(differences), np.array(right).reshape(-1, 2)
    groups = [*pairwise(sizes), (sizes[0], sizes[-1])]
    return tuple(_group(correct[(size >= least) & (size < most)], least, most) for least, most in groups)


def role_set_cost(role_set: RoleSet, classes: Sequence[str], frequencies: Sequence[ClassFrequency]) -> float:
    """Money for masks of the base classes and image labels of the novel ones, 1,000 photos by the default seconds.

    Raises:
        UnknownClassError: the frequencies are not those of the classes.
    """
    inputs = cost_inputs(images=1000, classes=tuple(frequencies), hourly_rate=1.0)
    return plan_cost(inputs, _base(role_set, classes)).money


def _base(role_set: RoleSet, classes: Sequence[str]) -> Collection[str]:
    return [name for name, novel in zip(classes, role_set.novel, strict=True) if not novel]


def _models(others: MeasuredSets) -> tuple[RoleModel, RoleModel]:
    return fit_roles(others, TERMS, resampled=0), fit_roles(others, ("count",), choose=False, resampled=0)


def _right(model: RoleModel, pair: tuple[RoleSet, RoleSet], difference: float) -> float:
    """1 where the expectations differ as the measurements do, 0 the other way round, a half where either is level."""
    first, second = np.nanmean(model.class_iou(np.stack([one.novel for one in pair]))[0], axis=1)
    agree = np.sign(round(float(first - second), 9)) * np.sign(difference)
    return float((1 + agree) / 2)


def _mean(role_set: RoleSet) -> float:
    return float(np.nanmean(role_set.mean_iou))


def _group(right: np.ndarray, least: float, most: float) -> Preference:
    shares = [float(share) for share in right.mean(axis=0)] if len(right) else [None, None]
    return Preference(least, most, len(right), *shares)
