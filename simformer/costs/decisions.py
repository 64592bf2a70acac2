"""A decision a class, and the training that would settle most.

The optimum is sought again for every resampled fit of the expectation, in which what fits leave unexplained of a class
is drawn, too: the share of fits whose optimum masks a class says how sure its decision is. Role sets that were trained
compete with what they reached, give or take what another training of them would differ by.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal

import numpy as np

from simformer.costs.budget import Wishes, goal_of
from simformer.costs.expectation import RoleModel
from simformer.costs.inputs import CostInputs, Model
from simformer.costs.optimum import EXACT
from simformer.costs.role_expectation import RoleExpectation
from simformer.costs.role_fits import COVERED, Array, Bools
from simformer.costs.role_sets import RoleSet
from simformer.costs.search import Goal, search

Verdict = Literal["mask", "labels will do", "undecided"]
_FITS = 100


class Decision(Model):
    """Of one class; `share` of the resampled fits, 0 to 1, has it masked in the best choice for the budget."""

    class_name: str
    decision: Verdict
    share: float


class NextTraining(Model):
    """The role set whose training would tell most about undecided classes.

    Attributes:
        novel: its novel classes; all others get masks.
        settles: part (0 to 1) of what is undecided that its measurement is expected to settle.
    """

    novel: tuple[str, ...]
    settles: float


class Decisions(Model):
    """Of all classes; `next_training` is None where nothing is undecided or no training would tell."""

    classes: tuple[Decision, ...]
    next_training: NextTraining | None


def decide(
    inputs: CostInputs, expectation: RoleExpectation, budget: float, wishes: Wishes | None = None
) -> Decisions | None:
    """Decisions for a budget; None for more classes than are sought through, or where no fit has an answer.

    Raises:
        ConfigError: as `goal_of`.
    """
    if len(inputs.classes) > EXACT or expectation.model.fits < 2:
        return None
    goal = goal_of(inputs, expectation, wishes or Wishes())
    fits = np.arange(1, min(expectation.model.fits, _FITS + 1))
    shifts = _shifts(expectation, len(fits))
    found, values = search(goal, np.full(len(fits), budget), fits, shifts)
    found, values = _or_trained(goal, budget, found, values)
    answered = np.isfinite(values)
    if not answered.any():
        return None
    found, fits, shifts = found[answered], fits[answered], shifts[answered]
    share = (~found).mean(axis=0)
    rows = [
        Decision(class_name=name, decision=_verdict(part), share=float(part))
        for name, part in zip(inputs.names, share, strict=True)
        if name not in inputs.have
    ]
    return Decisions(classes=tuple(rows), next_training=_next(goal, inputs, found, fits, shifts))


def _or_trained(goal: Goal, budget: float, found: Bools, values: Array) -> tuple[Bools, Array]:
    """Role sets (P x K) and their values, or the best of those that were trained where it has more."""
    model = goal.expectation.model
    trained = model.measured.sets
    if not trained:
        return found, values
    novel = np.array([one.novel for one in trained])
    measured = np.where(goal.affordable(novel, budget), goal.values(novel), -np.inf)
    drawn = np.random.default_rng(1).normal(size=(len(values), len(trained))) * [_spread(model, one) for one in trained]
    best = (measured + drawn).argmax(axis=1)
    value = (measured + drawn)[np.arange(len(values)), best]
    better = value > values
    return np.where(better[:, None], novel[best], found), np.where(better, value, values)


def _spread(model: RoleModel, trained: RoleSet) -> float:
    """Standard deviation of what was measured as a mean of its seeds: the interval is that of one more training."""
    names = np.array(model.measured.classes)[trained.novel].tolist()
    interval = model.expect(names, by_class=False).all
    if interval is None:
        return 0.0
    whole = (interval.high - interval.low) / (2 * NormalDist().inv_cdf((1 + COVERED) / 2))
    return whole / np.sqrt(1 + len(trained.iou))


def _verdict(share: float) -> Verdict:
    if share >= COVERED:
        return "mask"
    return "labels will do" if share <= 1 - COVERED + 1e-9 else "undecided"


def _shifts(expectation: RoleExpectation, number: int) -> Array:
    """Points of IoU as novel that a class may differ by from what is expected, and that no seed explains."""
    novel = expectation.model.novel
    lasting = max(novel.class_variance - (novel.seed_class_variance or 0.0), 0.0)
    classes = len(expectation.classes)
    return np.random.default_rng(0).normal(size=(number, classes)) * np.sqrt(lasting)


def _next(goal: Goal, inputs: CostInputs, found: Bools, fits: np.ndarray, shifts: Array) -> NextTraining | None:
    """By how well a class's IoU in a training would predict, over the fits, whether its masks are in the optimum."""
    model = goal.expectation.model
    masked = (~found).astype(float)
    undecided = masked.var(axis=0)
    candidates = np.unique(found, axis=0)
    candidates = [one for one in candidates if 0 < one.sum() < len(one) and model.measured.find(one) is None]
    if not candidates or not undecided.sum() > 0:
        return None
    noise = model.novel.seed_class_variance or 0.0
    settled = []
    for novel in candidates:
        iou = model.class_iou(np.broadcast_to(novel, (len(fits), 1, len(novel))), fits)[:, 0] + shifts
        iou = np.nan_to_num(iou - iou.mean(axis=0))
        together = (iou * (masked - masked.mean(axis=0))).mean(axis=0)
        # Linear Bayes: the variance of the decision that a noisy measurement of the IoU explains.
        explained = together**2 / np.maximum(iou.var(axis=0) + noise, 1e-12)
        settled.append(float((explained * novel).sum() / undecided.sum()))
    best = int(np.argmax(settled))
    if settled[best] < 0.01:
        return None
    names = tuple(np.array(inputs.names)[candidates[best]].tolist())
    return NextTraining(novel=names, settles=min(settled[best], 1.0))
