"""Which classes to mask for a budget, and what every budget buys; what users ask for besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from pydantic import Field, ValidationError

from simformer.costs.efficient import efficient_order
from simformer.costs.expected import Expectation
from simformer.costs.inputs import CostInputs, Model, role_cost
from simformer.costs.optimum import BOUNDED, EXACT, Optimum, best_roles
from simformer.costs.role_expectation import RoleExpectation
from simformer.costs.role_fits import Array, Bools
from simformer.costs.scenarios import Scenario, Sensitivity, plan_cost, priced
from simformer.costs.search import Goal, greedy, search
from simformer.errors import ConfigError
from simformer.splits import class_index
from simformer.utils.validation import first_problem

_ALL_CHOICES = 11


class Wishes(Model):
    """What users ask for, by class name.

    Attributes:
        weights: of classes in the mean that is made best, zero or more; 1 where absent.
        least: IoU in percent that the plan has to expect of a class.
        masks, labels: classes that have to get masks, and image labels only.
    """

    weights: dict[str, float] = Field(default_factory=dict)
    least: dict[str, float] = Field(default_factory=dict)
    masks: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls, weights: Mapping[str, float], least: Mapping[str, float], masks: Sequence[str], labels: Sequence[str]
    ) -> Wishes:
        """From what was typed. Raises ConfigError for a number that is none."""
        try:
            return cls(weights=dict(weights), least=dict(least), masks=tuple(masks), labels=tuple(labels))
        except ValidationError as error:
            raise ConfigError(first_problem(error)) from error


class Best(Scenario):
    """The best roles for a budget.

    Attributes:
        weighted_miou: what was made as high as possible, percent; expected.miou where no class has a weight.
        gap: points by which a better choice could be better at most; None = not known.
        how: a sentence on that.
    """

    weighted_miou: float | None
    gap: float | None
    how: str


def goal_of(inputs: CostInputs, expectation: RoleExpectation, wishes: Wishes) -> Goal:
    """What is to be made best. Raises ConfigError for wishes that do not fit, UnknownClassError for unknown names."""
    names = inputs.names
    for name in (*wishes.weights, *wishes.least, *wishes.masks, *wishes.labels):
        class_index(names, name)
    for name in wishes.masks:
        if name in wishes.labels:
            raise ConfigError(f"{name} cannot both have to get masks and have to do with image labels")
    for name in wishes.labels:
        if name in inputs.have:
            raise ConfigError(f"{name} has masks already, so it does not have to do with image labels")
    for name, value in wishes.weights.items():
        if value < 0:
            raise ConfigError(f"{name}: a weight of {value:g} is not possible, only zero or more")
    for name, value in wishes.least.items():
        if not 0 <= value <= 100:
            raise ConfigError(f"{name}: an IoU of {value:g} % is not possible, only 0 to 100 %")
    counted = expectation.model.counted
    weights = np.array([wishes.weights.get(name, 1.0) for name in names]) * counted
    if not weights.sum() > 0:
        raise ConfigError("no class has a weight above zero")
    return Goal(
        expectation,
        weights / weights.sum(),
        plan_cost(inputs, ()).money,
        extra_money(inputs),
        base=np.isin(names, [*wishes.masks, *inputs.have]),
        novel=np.isin(names, wishes.labels),
        least=np.array([wishes.least.get(name, 0.0) for name in names]),
    )


def extra_money(inputs: CostInputs) -> Array:
    """What masks of every class cost more than its image labels, float64, K."""
    both = [[role_cost(inputs, one, masked=masked).money for masked in (True, False)] for one in inputs.classes]
    return -np.diff(both, axis=1)[:, 0]


def best_for_budget(inputs: CostInputs, expectation: Expectation, budget: float, wishes: Wishes | None = None) -> Best:
    """The classes to mask that have the highest expected mIoU within a budget; of equally good choices the cheapest.

    Raises:
        ConfigError: the budget does not cover image-level labels, nothing is measured, or no affordable choice has
            what is asked for.
    """
    if not isinstance(expectation, RoleExpectation):
        raise ConfigError("what masks would gain is not known: " + expectation.expect(inputs.names, ()).note)
    wishes = wishes or Wishes()
    goal = goal_of(inputs, expectation, wishes)
    if not budget * (1 + 1e-12) >= goal.labels_money:
        raise ConfigError(
            f"a budget of {budget:,.2f} {inputs.currency} does not cover image-level labels for every class, "
            f"which cost {goal.labels_money:,.2f} {inputs.currency}"
        )
    found = best_roles(goal, budget)
    if found is None:
        forced = goal.labels_money + float(np.maximum(goal.extra, 0)[goal.base].sum())
        if goal.base.any() and budget < forced:
            raise ConfigError(
                f"masks for {', '.join(wishes.masks)} cost {forced:,.2f} {inputs.currency} with the image labels of "
                f"the others, more than the budget of {budget:,.2f}"
            )
        raise ConfigError("no choice of masks within the budget is expected to give every class the IoU asked for")
    masked = _masked(inputs, found.novel)
    scenario = priced(inputs, "Best for budget", masked, expectation.expect(inputs.names, masked))
    known = scenario.expected.miou is not None
    return Best(
        **scenario.model_dump(),
        weighted_miou=found.value if known else None,
        gap=found.gap if known else None,
        how=_how(found, len(inputs.classes)),
    )


def frontier(
    inputs: CostInputs,
    expectation: RoleExpectation,
    wishes: Wishes | None = None,
    *,
    points: int = 80,
    besides: Sequence[Scenario] = (),
) -> list[Scenario]:
    """What every budget buys: choices of masks of which none is as cheap and expects more.

    Of few classes exact, of more by `search`, not proven: `best_for_budget` says how far that can be off.

    Args:
        points: at most so many. besides: choices that are to be tried too.

    Returns:
        Cheapest first, without intervals; empty where no choice has what is asked for.
    """
    goal = goal_of(inputs, expectation, wishes or Wishes())
    classes = len(inputs.classes)
    extra = [~np.isin(inputs.names, one.masked) for one in besides]
    extra += [trained.novel for trained in expectation.model.measured.sets]
    sets = np.concatenate([greedy(goal), np.array(extra, dtype=bool).reshape(-1, classes)])
    if classes <= _ALL_CHOICES:
        sets = np.array(list(product((False, True), repeat=classes)))
    elif classes <= EXACT:
        cheapest, dearest = (goal.labels_money + limit(goal.extra, 0).sum() for limit in (np.minimum, np.maximum))
        found, _ = search(goal, np.linspace(cheapest, dearest, points), starts=sets[len(sets) - len(extra) :])
        sets = np.concatenate([sets, found])
    values, money = goal.values(sets), goal.money(sets)
    # Without CAM's IoU image labels alone have no value to draw.
    known = np.isfinite(values) & (values >= 0)
    sets, values, money = sets[known], values[known], money[known]
    largest = max(float(money.max(initial=0)), 1e-9)
    order = efficient_order(np.round(money / largest, 12), np.round(values, 9))
    if len(order) > points:
        order = order[np.linspace(0, len(order) - 1, max(points, 2)).round().astype(int)]
    masked = [_masked(inputs, sets[index]) for index in order]
    means = expectation.means(sets[order])
    return [priced(inputs, "Efficient", m, expected) for m, expected in zip(masked, means, strict=True)]


def sensitivity(
    inputs: CostInputs,
    masked: Sequence[str],
    *,
    factors: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    expectation: Expectation | None = None,
    wishes: Wishes | None = None,
    best: Best | None = None,
    budget: float | None = None,
) -> list[Sensitivity]:
    """What changes if a mask takes longer or shorter than assumed; with `best` and `budget`, what it then buys.

    Raises:
        ConfigError: a factor is negative.
        UnknownClassError: a masked class is not among the classes.
    """
    rows = []
    for factor in factors:
        if not factor >= 0:
            raise ConfigError(f"a mask cannot take {factor} times as long")
        changed = inputs.with_mask_factor(factor)
        bought, miou = None, None
        if best is not None and budget is not None and isinstance(expectation, RoleExpectation):
            bought, miou = best.masked, best.expected.miou
            if factor != 1:
                goal = goal_of(changed, expectation, wishes or Wishes())
                found, value = search(goal, np.array([budget]), starts=~np.isin([inputs.names], best.masked))
                bought = _masked(inputs, found[0]) if np.isfinite(value[0]) else None
                miou = expectation.means(found)[0].miou if bought is not None else None
        rows.append(
            Sensitivity(
                factor=factor,
                mask_seconds=changed.mask_seconds,
                all_masks=plan_cost(changed, inputs.names).money,
                weak_shot=plan_cost(changed, masked).money,
                labels_only=plan_cost(changed, ()).money,
                best_masked=bought,
                best_miou=miou,
            )
        )
    return rows


def _masked(inputs: CostInputs, novel: Bools) -> tuple[str, ...]:
    return tuple(np.array(inputs.names)[~novel].tolist())


def _how(found: Optimum, classes: int) -> str:
    if found.gap is None:
        return f"Of more than {BOUNDED} classes: those that gain most for their money, added up; not proven."
    if found.gap < 0.05:
        return "Exact: no affordable choice is expected to be better by 0.05 points."
    return f"No affordable choice is expected to be better by more than {found.gap:.1f} points."
