"""A model of role sets for other classes than those it was fitted to: some of them, another data set's, one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simformer.costs.expectation import RoleModel
from simformer.costs.role_fits import RoleFit
from simformer.costs.role_sets import MeasuredSets


def carried_over(model: RoleModel, measured: MeasuredSets) -> RoleModel:
    """The model of one data set for the classes of another, whose own effects and trainings it does not know."""
    none = np.zeros((model.fits, len(measured.classes)))
    return replace(
        model,
        measured=replace(measured, sets=()),
        novel=replace(model.novel, classes=none),
        base=replace(model.base, classes=none),
    )


def for_classes(model: RoleModel, classes: Sequence[str]) -> RoleModel:
    """The model for some of its own classes, in this order; its trainings are known only if they are all of them."""
    measured = model.measured
    order = [measured.classes.index(name) for name in classes]
    together = None if measured.together is None else measured.together[np.ix_(order, order)]
    sets = [replace(one, novel=one.novel[order], iou=one.iou[:, order]) for one in measured.sets]
    return replace(
        model,
        measured=replace(
            measured,
            classes=tuple(classes),
            oracle=measured.oracle[order],
            sets=tuple(sets) if len(order) == len(measured.classes) else (),
            together=together,
            whole=None if measured.whole is None else measured.whole[order],
        ),
        novel=replace(model.novel, classes=model.novel.classes[:, order]),
        base=replace(model.base, classes=model.base.classes[:, order]),
    )


def in_shares(model: RoleModel) -> RoleModel:
    """The model with its points as percent of FullyOracle's mean IoU, for classes of which no IoU is known."""
    return replace(model, novel=_scaled(model, model.novel), base=_scaled(model, model.base, lost=True))


def pooled(models: Sequence[RoleModel]) -> RoleModel:
    """Models of several data sets, carried over to the same classes, as one: every data set has the same weight.

    Fit number 0 is their mean, the others are theirs, so that intervals hold what the data sets differ by.
    """
    if len(models) == 1:
        return models[0]
    return replace(
        models[0],
        novel=_pooled([model.novel for model in models]),
        base=_pooled([model.base for model in models]),
        shares=tuple(share for model in models for share in model.shares),
    )


def _scaled(model: RoleModel, fit: RoleFit, *, lost: bool = False) -> RoleFit:
    """Points of IoU in percent of FullyOracle's; the share that novel classes keep (not `lost`) stays as it is."""
    factor = 100 / float(np.nanmean(model.measured.oracle))
    slopes = ("intercept", "count", "together", "classes") if lost else ()
    variances = ("set_variance", "class_variance", "seed_set_variance", "seed_class_variance")
    squared = {name: None if getattr(fit, name) is None else getattr(fit, name) * factor**2 for name in variances}
    return replace(fit, **{name: getattr(fit, name) * factor for name in slopes}, **squared)


def _pooled(fits: Sequence[RoleFit]) -> RoleFit:
    def joined(name: str) -> np.ndarray:
        values = [getattr(fit, name) for fit in fits]
        return np.concatenate([np.mean([value[:1] for value in values], axis=0), *(value[1:] for value in values)])

    def mean(name: str) -> float | None:
        known = [value for fit in fits if (value := getattr(fit, name)) is not None]
        return float(np.mean(known)) if known else None

    return RoleFit(
        terms=max((fit.terms for fit in fits), key=len),
        intercept=joined("intercept"),
        count=joined("count"),
        together=joined("together"),
        classes=joined("classes"),
        set_variance=mean("set_variance") or 0.0,
        class_variance=mean("class_variance") or 0.0,
        seed_set_variance=mean("seed_set_variance"),
        seed_class_variance=mean("seed_class_variance"),
    )
