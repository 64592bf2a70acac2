"""How the classes of one role do, novel or base, as a regression over measured role sets.

A novel class keeps a share of FullyOracle's IoU, whose mean is modelled on the logit scale. A base class loses points
of FullyOracle's IoU, or wins some; they are modelled as they are. Either is a sum of terms:

- count: the share of the data set's classes that are novel,
- class: an effect of the class, shrunken towards none,
- together: the mean number of other novel classes in the photos that show the class.

In this order, a term stays if role sets that were left out, with those nested with them, are then predicted better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simformer.costs.regression import fractional_logit, ridge
from simformer.costs.role_sets import MeasuredSets
from simformer.splits import Role

Term = Literal["count", "class", "together"]
TERMS: tuple[Term, ...] = ("count", "class", "together")
COVERED = 0.8
"""Share of new trainings that intervals are to hold."""

# Penalties of class effects that are tried; they are in units of what one measurement tells.
_SHRINKAGE = {"novel": (0.1, 0.3, 1.0, 3.0), "base": (0.5, 1.0, 2.0, 5.0)}
_FEWEST_TO_CHOOSE = 4
# So small that it decides only where nothing was measured: the slope is then none.
_SLOPE = 1e-3

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class RoleFit:
    """How the classes of one role do: B fits, that of all role sets first, then those of resampled role sets.

    Attributes:
        terms: that stayed.
        intercept, count, together: float64, B. classes: float64, B x K.
        set_variance, class_variance: of what is left unexplained, in squared points of IoU: common to the classes of a
            role set, and of every class alone.
        seed_set_variance, seed_class_variance: the part of them that is between seeds; None = no seed was repeated.
    """

    terms: tuple[Term, ...]
    intercept: Array
    count: Array
    together: Array
    classes: Array
    set_variance: float
    class_variance: float
    seed_set_variance: float | None
    seed_class_variance: float | None

    def linear(self, share: Array, together: Array, fits: slice | NDArray[np.intp] = slice(None)) -> Array:
        """The sum of the terms.

        Args:
            share: S x 1, 0 to 1, or fits x S x 1. together: S x K, or fits x S x K.

        Returns:
            fits x S x K; novel: the logit of the share kept, base: points lost.
        """
        sums = self.intercept[fits, None, None] + self.classes[fits, None, :]
        return sums + self.count[fits, None, None] * share + self.together[fits, None, None] * together

    def variance(self, weights: Array, seeds: int = 0) -> float:
        """Of a weighted sum of these classes' IoU in one training more, its expectation given.

        Args:
            weights: of the classes of this role.
            seeds: 0 for a role set that was not trained; else how many trainings the expectation is the mean of.
        """
        of_set, of_class = self.set_variance, self.class_variance
        if seeds and self.seed_set_variance is not None:
            of_set, of_class = self.seed_set_variance, self.seed_class_variance
        variance = of_set * weights.sum() ** 2 + of_class * (weights**2).sum()
        return float(variance * (1 + 1 / seeds if seeds else 1))


@dataclass(frozen=True)
class _Rows:
    """R measurements of one role: a row a class and role set.

    `design` is R x (3 + K): 1, count and together around their means, which class. `target` is the share kept or the
    points lost, `points` what a unit of it is in IoU, `seeds` over how many trainings it is a mean.
    """

    role: Role
    role_set: NDArray[np.intp]
    design: Array
    target: Array
    points: Array
    seeds: NDArray[np.intp]
    means: Array

    def fit(self, terms: Sequence[Term], shrinkage: float, weights: Array) -> Array:
        """Coefficients B x (3 + K) for weights B x R; those of terms left out are 0."""
        present = np.array([True, "count" in terms, "together" in terms, *["class" in terms] * (self.classes)])
        penalty = np.array([1e-9, _SLOPE, _SLOPE, *[shrinkage] * self.classes])
        solve = fractional_logit if self.role == "novel" else ridge
        coefficients = np.zeros((len(weights), len(present)))
        coefficients[:, present] = solve(self.design[:, present], self.target, weights, penalty[present])
        return coefficients

    def predict(self, coefficients: Array) -> Array:
        """The target of every row, from its own coefficients, R x (3 + K)."""
        sums = (self.design * coefficients).sum(axis=1)
        return expit(sums) if self.role == "novel" else sums

    @property
    def classes(self) -> int:
        return self.design.shape[1] - 3


def fit_role(
    measured: MeasuredSets, role: Role, together: Array, allowed: Sequence[Term], choose: bool, draws: NDArray[np.intp]
) -> RoleFit:
    """Fits one role.

    Args:
        together: sets x K, mean number of other novel classes in the photos of a class.
        allowed: terms that may stay; with `choose`, those stay that predict better.
        draws: B x sets; how often a fit counts every role set. The first counts each once.
    """
    rows = _rows(measured, role, together)
    apart = np.array([[not a.nested_with(b) for b in measured.sets] for a in measured.sets], dtype=float)
    seed_set, seed_class = _seed_variances(measured, role)
    weights = _seed_weights(rows, apart, seed_class)
    terms, shrinkage = _chosen(rows, apart, weights, allowed) if choose else (tuple(allowed), _SHRINKAGE[role][1])
    fits = rows.fit(terms, shrinkage, draws[:, rows.role_set] * weights)
    of_set, of_class = _unexplained(rows, apart, weights, terms, shrinkage)
    return RoleFit(
        terms=terms,
        intercept=fits[:, 0] - fits[:, 1:3] @ rows.means,
        count=fits[:, 1],
        together=fits[:, 2],
        classes=fits[:, 3:],
        set_variance=of_set,
        class_variance=of_class,
        seed_set_variance=seed_set,
        seed_class_variance=seed_class,
    )


def _rows(measured: MeasuredSets, role: Role, together: Array) -> _Rows:
    novel = np.array([found.novel for found in measured.sets])
    iou = np.array([found.mean_iou for found in measured.sets])
    seeds = np.array([len(found.iou) for found in measured.sets])
    known = np.isfinite(iou) & (measured.oracle > 0)
    role_set, label = np.nonzero((novel if role == "novel" else ~novel) & known)
    oracle = measured.oracle[label]
    slopes = np.stack([novel.mean(axis=1)[role_set], together[role_set, label]], axis=1)
    means = slopes.mean(axis=0)
    design = np.column_stack([np.ones(len(label)), slopes - means, np.eye(len(measured.classes))[label]])
    if role == "novel":
        target, points = np.clip(iou[role_set, label] / oracle, 0, 1), oracle
    else:
        target, points = oracle - iou[role_set, label], np.ones(len(label))
    return _Rows(role, role_set, design, target, points, seeds[role_set], means)


def _chosen(rows: _Rows, apart: Array, weights: Array, allowed: Sequence[Term]) -> tuple[tuple[Term, ...], float]:
    """The terms that stay, and how much class effects are shrunken.

    With so few role sets that nothing can be told, the count alone stays.
    """
    if (apart.sum(axis=1) > 0).sum() < _FEWEST_TO_CHOOSE:
        return tuple(term for term in allowed if term == "count"), 0.0
    best: tuple[tuple[Term, ...], float] = ((), 0.0)
    lowest = _score(rows, apart, weights, *best)
    for term in allowed:
        shrinkages = _SHRINKAGE[rows.role] if "class" in (*best[0], term) else (0.0,)
        longer: tuple[Term, ...] = (*best[0], term)
        for candidate in [(longer, shrinkage) for shrinkage in shrinkages]:
            score = _score(rows, apart, weights, *candidate)
            if score < lowest:
                best, lowest = candidate, score
    return best


def _score(rows: _Rows, apart: Array, weights: Array, terms: Sequence[Term], shrinkage: float) -> float:
    """Squared error of left-out role sets in points of IoU: that of single classes plus that of the classes' mean.

    Both count: a decision needs the classes, a plan their mean. Infinite where no role set can be left out.
    """
    error = _left_out_error(rows, apart, weights, terms, shrinkage)
    known = np.isfinite(error)
    sets = [error[known & (rows.role_set == index)] for index in np.unique(rows.role_set[known])]
    return float(np.mean([np.mean(one**2) + np.mean(one) ** 2 for one in sets])) if sets else np.inf


def _left_out_error(rows: _Rows, apart: Array, weights: Array, terms: Sequence[Term], shrinkage: float) -> Array:
    """Measured less predicted, in points of IoU; every role set from fits without it and those nested with it.

    NaN where all others are nested with it.
    """
    fits = rows.fit(terms, shrinkage, apart[:, rows.role_set] * weights)
    error: Array = (rows.target - rows.predict(fits[rows.role_set])) * rows.points
    error[~np.any(apart[rows.role_set], axis=1)] = np.nan
    return error if rows.role == "novel" else -error


def _seed_weights(rows: _Rows, apart: Array, seed_variance: float | None) -> Array:
    """Of the mean of several seeds beside 1 of one seed: what both leave unexplained, inverted."""
    if seed_variance is None:
        return np.ones(len(rows.target))
    error = _left_out_error(rows, apart, np.ones(len(rows.target)), ("count",), 0.0)
    error = error[rows.seeds == 1]
    one = float(np.nanmean(error**2)) if np.isfinite(error).any() else 2 * seed_variance
    one = max(one, seed_variance)
    return one / (one - seed_variance + seed_variance / rows.seeds)


def _seed_variances(measured: MeasuredSets, role: Role) -> tuple[float | None, float | None]:
    """What differs between seeds of one role set, in squared points: common to its classes, and of a class alone."""
    deviations, groups = [], []
    for found in measured.sets:
        members = (found.novel if role == "novel" else ~found.novel) & np.isfinite(found.mean_iou)
        seeds = len(found.iou)
        if seeds > 1 and members.any():
            # Deviations from a mean of m seeds are smaller than the noise, by sqrt(1 - 1/m).
            differ = (found.iou - found.mean_iou)[:, members] / np.sqrt(1 - 1 / seeds)
            for one in differ:
                groups.append(np.full(members.sum(), len(groups)))
                deviations.append(one)
    if not deviations:
        return None, None
    return variance_components(np.concatenate(deviations), np.concatenate(groups))


def _unexplained(
    rows: _Rows, apart: Array, weights: Array, terms: Sequence[Term], shrinkage: float
) -> tuple[float, float]:
    error = _left_out_error(rows, apart, weights, terms, shrinkage)
    known = np.isfinite(error)
    if not known.any():  # every role set is nested with all others: no fit tells, the spread itself does
        error = (rows.target - rows.target.mean()) * rows.points
        known = np.isfinite(error)
    return variance_components(error[known], rows.role_set[known])


def variance_components(errors: Array, groups: NDArray[np.intp]) -> tuple[float, float]:
    """Variance of what the errors (mean 0) of a group share, and of every error alone; from moments, never negative."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    means = np.bincount(group, errors) / sizes
    free = len(errors) - len(sizes)
    alone = float(((errors - means[group]) ** 2).sum() / free) if free else 0.0
    shared = float((means**2).mean() - alone * (1 / sizes).mean())
    return max(shared, 0.0), alone
