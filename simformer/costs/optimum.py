"""The best classes to mask for a budget, where what a class gains depends on the others' roles.

With the number k of novel classes given, what depends on it alone is a sum over classes: a knapsack. What depends on
the other novel classes in a class's photos is a product of roles, which is made linear with a variable a pair, and
the curve over it with tangents of its concave hull (an outer approximation: solved, tangents added where the solution
lies, solved again; `linearized`). So for every k there is a bound, first a cheap one (Lagrange's dual of the budget),
and only those k are solved whose bound is above the best set that is known.

Up to EXACT classes this is exact but for the gap that is returned. Up to BOUNDED classes products are only bounded, and
the set is that of exchanges (`search`). Above, it is those that gain most for their money, without a bound.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from simformer.costs.linearized import ENOUGH, Program, curves, is_coupled
from simformer.costs.role_fits import Array, Bools
from simformer.costs.search import Goal, search

EXACT, BOUNDED = 40, 200
_SECONDS = 2.0
"""Time after which values of k that are not solved keep their cheap bound."""


@dataclass(frozen=True)
class Optimum:
    """The best role set found.

    Attributes:
        novel: bool, K. value: weighted mean IoU.
        bound: no affordable role set has more; None = not known. So `gap` points may be missing.
    """

    novel: Bools
    value: float
    bound: float | None

    @property
    def gap(self) -> float | None:
        """Points of mIoU by which a better set could be better."""
        return None if self.bound is None else max(self.bound - self.value, 0.0)


def best_roles(goal: Goal, budget: float) -> Optimum | None:
    """The affordable role set with the highest weighted mean of expected IoU; None if none has what is wanted."""
    trained = [one.novel for one in goal.expectation.model.measured.sets]
    starts = np.array(trained) if trained else None
    found, value = search(goal, np.array([budget]), starts=starts)
    best, lowest = found[0], float(value[0])
    classes = len(best)
    if classes > BOUNDED:
        return None if lowest == -np.inf else Optimum(best, lowest, None)
    ends = np.array([np.zeros(classes, dtype=bool), np.ones(classes, dtype=bool), *trained])
    possible = goal.affordable(ends, budget)
    bound = float(np.max(goal.values(ends)[possible], initial=-np.inf))
    upper = _dual_bounds(goal, budget)
    until = time.monotonic() + _SECONDS
    solvable = classes <= EXACT or not is_coupled(goal)
    for k in sorted(range(1, classes), key=lambda number: -upper[number]):
        limit = upper[k]
        if solvable and limit > lowest + ENOUGH and time.monotonic() < until:
            novel, value, limit = Program(goal, budget, k, np.array(trained).reshape(-1, classes)).solve(lowest, until)
            if novel is not None and value > lowest:
                best, lowest = novel, value
            limit = min(limit, upper[k])
        bound = max(bound, limit)
    return None if lowest == -np.inf else Optimum(best, lowest, max(bound, lowest))


def _dual_bounds(goal: Goal, budget: float) -> Array:
    """For every number k of novel classes an upper bound of the value, K + 1; by Lagrange's dual of the budget."""
    classes = len(goal.weights)
    pairs = goal.expectation.model.measured.together
    bounds = np.full(classes + 1, np.inf)
    novel, base = np.zeros((classes + 1, classes)), np.zeros((classes + 1, classes))
    ascending = np.zeros((classes, classes)) if pairs is None else np.sort(pairs - np.eye(classes))[:, 1:]
    least = np.concatenate([np.zeros((classes, 1)), np.cumsum(ascending, axis=1)], axis=1)
    most = np.concatenate([np.zeros((classes, 1)), np.cumsum(ascending[:, ::-1], axis=1)], axis=1)
    for k in range(1, classes):
        ends = [curves(goal, k, side[None, :, number]) for side in (least, most)
                for number in (min(k - 1, classes - 1), min(k, classes - 1))]  # fmt: skip
        novel[k] = np.max([end[0][0] for end in ends], axis=0)
        base[k] = np.max([end[1][0] for end in ends], axis=0)
    gains = base - novel
    forced = 1e6 * (goal.base.astype(float) - goal.novel)
    masks = classes - np.arange(classes + 1)
    money = budget - goal.labels_money

    def dual(price: Array) -> Array:
        worth = gains + forced - price[:, None] * goal.extra
        sums = np.cumsum(-np.sort(-worth, axis=1), axis=1)
        chosen = np.concatenate([np.zeros((classes + 1, 1)), sums], axis=1)[np.arange(classes + 1), masks]
        return novel.sum(axis=1) + chosen + price * money - 1e6 * goal.base.sum()

    scale = max(float(np.abs(gains).max()), 1e-9) / max(float(np.abs(goal.extra).min()), 1e-9)
    low, high = np.zeros(classes + 1), np.full(classes + 1, scale)
    for _ in range(60):  # the dual is convex in the price of money
        a, b = low + (high - low) / 3, high - (high - low) / 3
        falls = dual(a) > dual(b)
        low, high = np.where(falls, a, low), np.where(falls, high, b)
        bounds = np.minimum(bounds, np.minimum(dual(a), dual(b)))
    bounds = np.minimum(bounds, dual(np.zeros(classes + 1)))
    too_many = (masks < goal.base.sum()) | (masks > (~goal.novel).sum())
    bounds[too_many] = -np.inf
    return bounds
