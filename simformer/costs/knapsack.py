"""Which sets of classes are worth masking: the exact efficient sets of gain against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EfficientSets:
    """P sets of classes, cheapest first; each gains more than every cheaper one.

    Attributes:
        costs, gains: float64, P; of the whole set.
        members: bool, P x K.
    """

    costs: NDArray[np.float64]
    gains: NDArray[np.float64]
    members: NDArray[np.bool_]


def efficient_sets(costs: Sequence[float], gains: Sequence[float]) -> EfficientSets:
    """All efficient sets among those that hold at least one class and lack at least one.

    A set is efficient if none is at least as cheap with a larger gain, nor cheaper with the same. This is the
    exact dynamic programme of Nemhauser and Ullmann (Discrete dynamic programming and capital allocation,
    1969) for the 0/1 knapsack, over all budgets at once and without rounding: classes join one by one, and a
    dominated set never becomes efficient again, whatever joins it. The empty and the full set are left out
    because their value is not a sum over classes: they are other models (see `expected`).

    Args:
        costs: K extra costs of masking a class; any sign.
        gains: K gains of masking it; any sign.
    """
    count = len(costs)
    found = EfficientSets(np.empty(0), np.empty(0), np.empty((0, count), dtype=bool))
    for index, (cost, gain) in enumerate(zip(costs, gains, strict=True)):
        joined = found.members.copy()
        joined[:, index] = True
        candidates = [found, EfficientSets(found.costs + cost, found.gains + gain, joined)]
        if index:
            alone = np.arange(count) == index
            candidates.append(_one_set(cost, gain, alone))
            all_before = np.arange(count) < index
            candidates.append(_one_set(sum(costs[:index]), sum(gains[:index]), all_before))
        found = _without_dominated(candidates)
    return found


def efficient_order(costs: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the points that no other dominates, cheapest first; of equal points the first stays."""
    order = np.lexsort((-values, costs))
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], values[order]]))[:-1]
    return order[values[order] > best_before]


def _one_set(cost: float, gain: float, members: NDArray[np.bool_]) -> EfficientSets:
    return EfficientSets(np.array([cost]), np.array([gain]), members[None])


def _without_dominated(candidates: Sequence[EfficientSets]) -> EfficientSets:
    costs = np.concatenate([sets.costs for sets in candidates])
    gains = np.concatenate([sets.gains for sets in candidates])
    keep = efficient_order(costs, gains)
    members = np.concatenate([sets.members for sets in candidates])
    return EfficientSets(costs[keep], gains[keep], members[keep])
