"""Whether expectations hold: every measured role set predicted from the others, and how far that is off.

A role set is predicted by fits that know neither it nor the role sets nested with it (its novel classes are among
theirs, or theirs among its own), whose trainings would half tell.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy  # its parts are imported when they are first used

from simformer.costs.carried import carried_over, in_shares
from simformer.costs.expectation import Interval, RoleModel, fit_roles
from simformer.costs.role_fits import COVERED, TERMS, Array, Term
from simformer.costs.role_sets import MeasuredSets, RoleSet
from simformer.errors import ConfigError

FEWEST_LEFT = 2
"""Role sets that must be left to predict one from."""
GROUPS = ("all", "novel")
_RESAMPLED_MEANS = 2000


@dataclass(frozen=True)
class Row:
    """A role set, what was expected of it without it, and what it measured; mIoU in percent, mean over seeds."""

    name: str
    expected: float
    low: float
    high: float
    measured: float


@dataclass(frozen=True)
class Errors:
    """How far predictions are off; points of mIoU.

    Attributes:
        error: mean absolute error.
        constant_error: that of the mean of the other role sets' mIoU.
        count_only_error: that of the number of novel classes alone.
        coverage: share (0 to 1) of the role sets inside their interval.
        interval_score: mean width of the intervals, and 2 / (1 - 0.8) times what they miss by (Winkler, 1972).
    """

    error: float
    constant_error: float
    count_only_error: float
    coverage: float
    interval_score: float


@dataclass(frozen=True)
class Ranks:
    """Spearman's correlation, inside a role set, of the expected and the measured share of FullyOracle's IoU kept.

    Expected by a fit in which effects of classes stay in any case: so it says whether they tell anything.

    Attributes:
        mean: over role sets, -1 to 1; None if there are none.
        low, high: 80 % interval from resampled role sets.
        role_sets: how many have three novel classes or more, expected to do differently.
    """

    mean: float | None
    low: float | None
    high: float | None
    role_sets: int


@dataclass(frozen=True)
class Backtest:
    """Of one data set.

    Attributes:
        method, schedule: whose role sets, of which table.
        count_alone: the number of novel classes alone predicts one of the two means as well as the model with other
            terms; then it is the model, and the rows are its.
        terms: of the model that is fitted to all role sets.
        verdict: the same in words.
        rows, novel_rows: mean over all classes, over novel ones; only role sets that could be predicted.
        all, novel: their errors.
        noise_floor, novel_noise_floor: mean absolute error of one who knows every role set's mean over all seeds: mean
            of |seed 0 - seed 1| / sqrt(2) over role sets with two seeds; None without them.
        ranks: which classes keep their IoU.
        not_predicted: role sets for which too few others were left.
    """

    method: str
    schedule: str
    count_alone: bool
    terms: tuple[str, ...]
    verdict: str
    rows: tuple[Row, ...]
    novel_rows: tuple[Row, ...]
    all: Errors
    novel: Errors
    noise_floor: float | None
    novel_noise_floor: float | None
    ranks: Ranks
    not_predicted: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """Role sets predicted by a model that saw none of them: of another data set, or sealed ones."""

    rows: tuple[Row, ...]
    novel_rows: tuple[Row, ...]
    all: Errors
    novel: Errors


@dataclass(frozen=True)
class _Prediction:
    """One role set: what the model, the count alone and a constant expect, by group of classes.

    `kept` is the share of FullyOracle's IoU that every class is expected to keep if classes differ, K.
    """

    role_set: RoleSet
    by_model: dict[str, Interval]
    by_count: dict[str, Interval]
    constant: dict[str, float]
    kept: Array | None = None


def backtest(measured: MeasuredSets) -> Backtest:
    """Predicts every role set without it and without those nested with it.

    Raises:
        ConfigError: no role set has two others that are not nested with it.
    """
    left = {one.name: measured.unrelated_to(one) for one in measured.sets}
    predictions = [_predicted(one, left[one.name]) for one in measured.sets if len(left[one.name].sets) >= FEWEST_LEFT]
    if not predictions:
        raise ConfigError(f"the role sets of {measured.method} on {measured.dataset} are nested: none can be predicted")
    trial, by_count = _trial(predictions), _trial([replace(one, by_model=one.by_count) for one in predictions])
    beaten = all(mine.error < mine.count_only_error for mine in (trial.all, trial.novel))
    model = fit(measured, count_alone=not beaten)
    return Backtest(
        method=measured.method,
        schedule=measured.schedule,
        count_alone=not beaten,
        terms=model.novel.terms,
        verdict=_verdict(model, beaten),
        **(trial if beaten else by_count).__dict__,
        noise_floor=_noise_floor(measured, "all"),
        novel_noise_floor=_noise_floor(measured, "novel"),
        ranks=_ranks(predictions, measured),
        not_predicted=tuple(name for name, others in left.items() if len(others.sets) < FEWEST_LEFT),
    )


def fit(measured: MeasuredSets, *, count_alone: bool, terms: Collection[Term] = TERMS) -> RoleModel:
    """The model that a backtest stands for: the count alone, or with those other terms that predict better."""
    return fit_roles(measured, ("count",), choose=False) if count_alone else fit_roles(measured, terms)


def from_other(source: MeasuredSets, target: MeasuredSets, *, count_alone: bool) -> Trial:
    """Predicts one data set's role sets from another's alone: no effect of a class is known then.

    The constant here is a share: what novel classes keep, and what base classes lose, on the mean.

    Args:
        count_alone: whether the backtest of `source` says so.
    """
    terms: tuple[Term, ...] = ("count", "together") if target.together is not None else ("count",)
    return _carried(_fits(source, count_alone, terms), target)


def in_other_shares(source: MeasuredSets, target: MeasuredSets, *, count_alone: bool) -> Trial:
    """As `from_other`, but as if nothing were measured on the target: all figures in percent of FullyOracle's mIoU."""
    factor = 100 / float(np.nanmean(target.oracle))
    scaled = replace(
        target,
        oracle=np.where(np.isnan(target.oracle), np.nan, 100.0),
        sets=tuple(replace(one, iou=one.iou * factor) for one in target.sets),
        together=None,
    )
    return _carried([in_shares(one) for one in _fits(source, count_alone, ("count",))], scaled)


def _fits(source: MeasuredSets, count_alone: bool, terms: Collection[Term]) -> list[RoleModel]:
    """The model that a backtest stands for, the count alone, and a constant."""
    model = fit(source, count_alone=count_alone, terms=terms)
    return [model, fit(source, count_alone=True), fit_roles(source, (), resampled=0)]


def _carried(fits: Sequence[RoleModel], target: MeasuredSets) -> Trial:
    """What `_fits` of another data set predict of this one."""
    model, count, constant = (carried_over(one, target) for one in fits)
    return _trial([_Prediction(s, _means(model, s), _means(count, s), _expected(constant, s)) for s in target.sets])


def of_sealed(measured: MeasuredSets, sealed: MeasuredSets, *, count_alone: bool) -> Trial:
    """Predicts sealed role sets from the open ones, but for those nested with the one predicted.

    Args:
        count_alone: whether the backtest of the open ones says so.

    Raises:
        ConfigError: too few open role sets are left.
    """
    predictions = [_predicted(one, measured.unrelated_to(one)) for one in sealed.sets]
    return _trial([replace(one, by_model=one.by_count) for one in predictions] if count_alone else predictions)


def _predicted(role_set: RoleSet, others: MeasuredSets) -> _Prediction:
    constant = {group: float(np.mean([_measured(other)[group] for other in others.sets])) for group in GROUPS}
    by_class = fit_roles(others, ("count", "class"), choose=False, resampled=0)
    return _Prediction(
        role_set,
        by_model=_means(fit(others, count_alone=False), role_set),
        by_count=_means(fit(others, count_alone=True), role_set),
        constant=constant,
        kept=others.kept(by_class.class_iou(role_set.novel[None])[0, 0]),
    )


def _means(model: RoleModel, role_set: RoleSet) -> dict[str, Interval]:
    names = [name for name, is_novel in zip(model.measured.classes, role_set.novel, strict=True) if is_novel]
    found = model.expect(names)
    assert found.all is not None and found.novel is not None  # a role set has novel classes
    return {"all": found.all, "novel": found.novel}


def _expected(model: RoleModel, role_set: RoleSet) -> dict[str, float]:
    return {group: found.expected for group, found in _means(model, role_set).items()}


def _measured(role_set: RoleSet) -> dict[str, float]:
    iou = role_set.mean_iou
    return {"all": float(np.nanmean(iou)), "novel": float(np.nanmean(iou[role_set.novel]))}


def _trial(predictions: Sequence[_Prediction]) -> Trial:
    rows = {group: tuple(_row(one, group) for one in predictions) for group in GROUPS}
    errors = {group: _errors(predictions, rows[group], group) for group in GROUPS}
    return Trial(rows["all"], rows["novel"], errors["all"], errors["novel"])


def _row(prediction: _Prediction, group: str) -> Row:
    found, role_set = prediction.by_model[group], prediction.role_set
    return Row(role_set.name, found.expected, found.low, found.high, _measured(role_set)[group])


def _errors(predictions: Sequence[_Prediction], rows: Sequence[Row], group: str) -> Errors:
    measured = np.array([row.measured for row in rows])
    low, high = np.array([[row.low, row.high] for row in rows]).T
    missed = np.maximum(low - measured, 0) + np.maximum(measured - high, 0)

    def off(values: Sequence[float]) -> float:
        return float(np.abs(np.array(values) - measured).mean())

    return Errors(
        error=off([row.expected for row in rows]),
        constant_error=off([one.constant[group] for one in predictions]),
        count_only_error=off([one.by_count[group].expected for one in predictions]),
        coverage=float((missed == 0).mean()),
        interval_score=float((high - low + 2 / (1 - COVERED) * missed).mean()),
    )


def _noise_floor(measured: MeasuredSets, group: str) -> float | None:
    differences = []
    for found in measured.sets:
        if len(found.iou) > 1:
            iou = found.iou[:2, found.novel] if group == "novel" else found.iou[:2]
            first, second = np.nanmean(iou, axis=1)
            differences.append(abs(first - second) / np.sqrt(2))
    return float(np.mean(differences)) if differences else None


def _ranks(predictions: Sequence[_Prediction], measured: MeasuredSets) -> Ranks:
    found = []
    for one in predictions:
        kept = measured.kept(one.role_set.mean_iou)
        members = one.role_set.novel & np.isfinite(kept)
        # Equal expectations have no order to be right about.
        if (
            one.kept is not None
            and members.sum() >= 3
            and np.ptp(one.kept[members]) > 1e-9
            and np.ptp(kept[members]) > 0
        ):
            correlation: Any = scipy.stats.spearmanr(one.kept[members], kept[members])
            found.append(float(correlation.statistic))
    if not found:
        return Ranks(None, None, None, 0)
    resampled = np.random.default_rng(0).choice(found, size=(_RESAMPLED_MEANS, len(found))).mean(axis=1)
    low, high = np.quantile(resampled, ((1 - COVERED) / 2, (1 + COVERED) / 2))
    return Ranks(float(np.mean(found)), float(low), float(high), len(found))


def _verdict(model: RoleModel, beaten: bool) -> str:
    if not beaten:
        return "The model is the number of novel classes alone: nothing more predicts left-out role sets better."
    return f"The model, {model.terms_note}, predicts left-out role sets better than the number of novel classes alone."
