"""Good sets of classes to mask for many problems at once: greedy starts, then exchanges of classes.

A problem has its own budget and its own fit of the expectation. What is found is not proven to be the best; how far it
can be off, `optimum` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from simformer.costs.role_expectation import RoleExpectation
from simformer.costs.role_fits import Array, Bools

_STARTS = 8
_MOST_EXCHANGED = 12
_STEPS = ((40, 200), (200, 25))
"""Exchanges that are tried at most, by the number of classes; of more classes none."""
_BLOCK = 4_000_000
# Of equally good sets the cheapest; what counts as equally good, in points of IoU for all money at stake.
TIE = 1e-6


@dataclass(frozen=True)
class Goal:
    """What is wanted, for K classes.

    Attributes:
        expectation: of IoU.
        weights: of the classes in the mean, float64, K; they add up to 1.
        labels_money: of image-level labels for every class, with the masks there are.
        extra: money that the masks of a class cost more, float64, K.
        base, novel: classes that have to be so, bool, K.
        least: IoU that a class has to be expected to have, float64, K; 0 = any.
    """

    expectation: RoleExpectation
    weights: Array
    labels_money: float
    extra: Array
    base: Bools
    novel: Bools
    least: Array

    def money(self, novel: Bools) -> Array:
        """Of role sets, bool ... x K."""
        return self.labels_money + (~novel) @ self.extra

    def affordable(self, novel: Bools, budget: float | Array) -> Bools:
        """Whether role sets cost at most the budget; sums of the same money differ in the last bits."""
        return self.money(novel) <= np.asarray(budget) * (1 + 1e-12) + 1e-12

    def values(self, novel: Bools) -> Array:
        """Weighted mean of expected IoU of role sets (bool, S x K), as plans show it; -inf where a wish fails."""
        return self._mean(self.expectation.iou(novel), novel)

    def by_fits(self, novel: Bools, fits: NDArray[np.intp], shifts: Array | None = None) -> Array:
        """The same by the model alone, each problem's role sets by a fit of its own.

        Args:
            novel: bool, P x S x K. fits: P.
            shifts: points added to the IoU of novel classes, P x K.

        Returns:
            float64, P x S.
        """
        iou = self.expectation.model.class_iou(novel, fits)
        if shifts is not None:
            oracle = self.expectation.model.measured.oracle
            iou = np.where(novel, np.clip(iou + shifts[:, None], 0, oracle), iou)
        iou[novel.all(axis=-1)] = self.expectation.labels
        return self._mean(iou, novel)

    def _mean(self, iou: Array, novel: Bools) -> Array:
        wanted = self.weights > 0
        values = iou[..., wanted] @ self.weights[wanted]
        lacks = (iou < self.least).any(axis=-1) | (novel & self.base).any(axis=-1) | (~novel & self.novel).any(axis=-1)
        # Without CAM's IoU image labels alone have no value; they are the last resort, not impossible.
        values = np.where(np.isnan(values), -1.0, values)
        return np.where(lacks, -np.inf, values)


def search(
    goal: Goal,
    budgets: Array,
    fits: NDArray[np.intp] | None = None,
    shifts: Array | None = None,
    starts: Bools | None = None,
) -> tuple[Bools, Array]:
    """Good affordable role sets.

    Args:
        budgets: P. fits: P, or None for what plans show. shifts: as in `Goal.by_fits`.
        starts: bool, S x K, role sets to try besides.

    Returns:
        Role sets, bool P x K, and their values, P; -inf where no affordable role set has what is wanted.
    """

    def rate(novel: Bools) -> Array:
        """Values of P x S role sets, less a trifle for money; -inf where they are not affordable."""
        problems, sets, classes = novel.shape
        rated = np.empty((problems, sets))
        step = max(_BLOCK // (sets * classes), 1)
        for first in range(0, problems, step):
            some = slice(first, first + step)
            block = novel[some]
            if fits is None:
                values = goal.values(block.reshape(-1, classes)).reshape(block.shape[:2])
            else:
                values = goal.by_fits(block, fits[some], None if shifts is None else shifts[some])
            values = values - TIE * goal.money(block) / scale
            rated[some] = np.where(goal.affordable(block, budgets[some, None]), values, -np.inf)
        return rated

    scale = max(float(np.abs(goal.extra).sum()), 1e-12)
    problems = np.arange(len(budgets))
    sets = greedy(goal)
    candidates = np.broadcast_to(sets, (len(budgets), *sets.shape))
    if starts is not None:
        candidates = np.concatenate([candidates, np.broadcast_to(starts, (len(budgets), *starts.shape))], axis=1)
    rated = rate(candidates)
    best, value = candidates[problems, rated.argmax(axis=1)], rated.max(axis=1)
    for _ in range(next((steps for most, steps in _STEPS if best.shape[1] <= most), 0)):
        around = _exchanged(goal, best)
        rated = rate(around)
        better = rated.max(axis=1) > value + 1e-12
        if not better.any():
            break
        best = np.where(better[:, None], around[problems, rated.argmax(axis=1)], best)
        value = np.maximum(value, rated.max(axis=1))
    return best, np.where(np.isfinite(value), value + TIE * goal.money(best) / scale, value)


def greedy(goal: Goal) -> Bools:
    """S x K: the classes that gain most for their money, any number of them; the two ends come first."""
    model, classes = goal.expectation.model, len(goal.weights)
    free = np.flatnonzero(~goal.base & ~goal.novel)
    share = np.linspace(0.05, 0.95, _STARTS)[:, None]
    oracle = np.nan_to_num(model.measured.oracle)
    mean_together = np.zeros((1, classes)) if model.measured.together is None else model.measured.together.mean(axis=1)
    kept = oracle / (1 + np.exp(-model.novel.linear(share, share * mean_together, slice(1))[0]))
    gains = goal.weights * (oracle - model.base.linear(share, share * mean_together, slice(1))[0] - kept)
    found = [np.where(goal.base, False, True)[None], np.where(goal.novel, True, False)[None]]
    for gain in gains:
        ratio = gain[free] / np.maximum(goal.extra[free], 1e-9 * (1 + np.abs(goal.extra).max()))
        order = free[np.argsort(-ratio, kind="stable")]
        prefixes = np.tile(~goal.base, (len(order), 1))
        for number, index in enumerate(order):
            prefixes[number:, index] = False
        found.append(prefixes)
    return np.concatenate(found)


def _exchanged(goal: Goal, best: Bools) -> Bools:
    """P x S: every class given the other role, and every masked class exchanged for one that is not.

    Of many classes only so many are exchanged: those of all prices.
    """
    free = np.flatnonzero(~goal.base & ~goal.novel)
    flips = np.repeat(best[:, None], len(free), axis=1)
    flips[:, np.arange(len(free)), free] ^= True
    if len(free) <= 2 * _MOST_EXCHANGED:
        pairs = np.array(list(combinations(free, 2)), dtype=int).reshape(-1, 2)
        swaps = np.repeat(best[:, None], len(pairs), axis=1)
        rows = np.arange(len(pairs))
        swaps[:, rows, pairs[:, 0]] ^= True
        swaps[:, rows, pairs[:, 1]] ^= True
        return np.concatenate([best[:, None], flips, swaps], axis=1)
    order = np.argsort(goal.extra[free], kind="stable")
    near = []
    for novel in best:
        masked, unmasked = free[order][~novel[free[order]]], free[order][novel[free[order]]]
        out = masked[np.linspace(0, len(masked) - 1, min(len(masked), _MOST_EXCHANGED)).astype(int)]
        into = unmasked[np.linspace(0, len(unmasked) - 1, min(len(unmasked), _MOST_EXCHANGED)).astype(int)]
        swaps = np.repeat(novel[None], _MOST_EXCHANGED**2, axis=0)
        for number, (a, b) in enumerate((a, b) for a in out for b in into):
            swaps[number, [a, b]] ^= True
        near.append(swaps)
    return np.concatenate([flips, np.stack(near)], axis=1)
