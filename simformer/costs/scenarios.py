"""What annotation costs, what mIoU it buys, and which classes to mask for a budget.

The costs of `inputs` and the expectations of `expected`, put together. Both are sums over classes, so the
choice of classes for a budget is a 0/1 knapsack.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np

from simformer.costs.expected import Expectation, Expected, MeasuredRoles
from simformer.costs.inputs import KINDS, Cost, CostInputs, Kind, Model, class_cost
from simformer.costs.knapsack import EfficientSets, efficient_order, efficient_sets
from simformer.errors import ConfigError
from simformer.splits import class_index

ALL_MASKS, WEAK_SHOT, LABELS_ONLY = "All masks", "Weak-shot", "Image labels only"


class KindCost(Cost):
    """Cost of annotating every class with one kind of annotation."""

    kind: Kind


class Scenario(Cost):
    """One way of annotating: its cost and what it can expect.

    Attributes:
        masked: the classes that get masks, in class order; all others get image-level labels.
    """

    name: str
    masked: tuple[str, ...]
    expected: Expected


class Sensitivity(Model):
    """The three scenarios' money if a mask takes `factor` times as long, and what a budget then buys."""

    factor: float
    mask_seconds: float
    all_masks: float
    weak_shot: float
    labels_only: float
    best_masked: tuple[str, ...] | None = None
    best_miou: float | None = None


class PlanRow(Model):
    """One class of a plan; hours and money are over all photos, IoU in percent, None = not measured."""

    class_name: str
    role: Literal["base", "novel"]
    annotation: Literal["mask", "image label"]
    photos_with_class: float
    masks: float
    hours: float
    money: float
    expected_iou: float | None
    mask_gain: float | None


def plan_cost(inputs: CostInputs, masked: Collection[str]) -> Cost:
    """Cost of masks for the classes `masked` and image-level labels for the others.

    Raises:
        UnknownClassError: a masked class is not among the classes.
    """
    masked = _checked(inputs, masked)
    hours = sum(
        class_cost(inputs, frequency, "mask" if frequency.name in masked else "image_label").hours
        for frequency in inputs.classes
    )
    return Cost(hours=hours, money=hours * inputs.hourly_rate)


def cost_by_kind(inputs: CostInputs) -> list[KindCost]:
    """Cost of annotating every class with image labels, points, scribbles, boxes or masks."""
    rows = []
    for kind in KINDS:
        hours = sum(class_cost(inputs, frequency, kind).hours for frequency in inputs.classes)
        rows.append(KindCost(kind=kind, hours=hours, money=hours * inputs.hourly_rate))
    return rows


def scenarios(inputs: CostInputs, masked: Collection[str], expectation: Expectation) -> list[Scenario]:
    """All masks, weak-shot with masks for `masked`, and image labels only.

    Raises:
        UnknownClassError: a masked class is not among the classes.
    """
    sets = {ALL_MASKS: inputs.names, WEAK_SHOT: _checked(inputs, masked), LABELS_ONLY: ()}
    return [_scenario(inputs, name, chosen, expectation.expect(inputs.names, chosen)) for name, chosen in sets.items()]


def frontier(inputs: CostInputs, measured: MeasuredRoles, *, limit: int | None = None) -> list[Scenario]:
    """The efficient sets of classes to mask: no set costs as little and has a higher expected mIoU. Exact.

    Means are over the classes that were measured in both roles (`counted` says how many); the others keep
    image-level labels, since what a mask would gain is not known. Image labels only is left out if CAM was
    not measured.

    Args:
        limit: at most so many points, but two at least, chosen evenly in order of cost, both ends among them; each is
            still efficient. None = all of them.

    Returns:
        Cheapest first; empty if no class was measured in both roles.
    """
    over = measured.comparable(inputs.names)
    members = _efficient(inputs, measured).members
    if limit is not None and len(members) > limit:
        members = members[np.linspace(0, len(members) - 1, max(limit, 2)).round().astype(int)]
    sets = [_names(over, row) for row in members]
    return [_scenario(inputs, "Efficient", s, measured.expect(inputs.names, s, over)) for s in sets]


def on_frontier(inputs: CostInputs, measured: MeasuredRoles, masked: Collection[str]) -> Scenario:
    """The present roles as a point beside the frontier: its mean is over the same classes."""
    chosen = _checked(inputs, masked)
    expected = measured.expect(inputs.names, chosen, measured.comparable(inputs.names))
    return _scenario(inputs, "Present roles", chosen, expected)


def best_for_budget(inputs: CostInputs, measured: MeasuredRoles, budget: float) -> Scenario:
    """The set of classes to mask that has the highest expected mIoU within a budget. Exact (0/1 knapsack).

    Of equally good sets the cheapest. Means are over the same classes as the frontier's.

    Raises:
        ConfigError: the budget does not cover image-level labels, or no class was measured in both roles.
    """
    over = measured.comparable(inputs.names)
    if not over:
        raise ConfigError("no class was measured both as base and as novel, so what its masks would gain is not known")
    efficient = _efficient(inputs, measured)
    # Sums of the same money in another order differ in the last bits.
    limit = budget * (1 + 1e-12)
    affordable = efficient.members[efficient.costs <= limit]
    labels_only = plan_cost(inputs, ()).money
    if not len(affordable) and not labels_only <= limit:
        raise ConfigError(
            f"a budget of {budget:,.2f} {inputs.currency} does not cover image-level labels for every class, "
            f"which cost {labels_only:,.2f} {inputs.currency}"
        )
    chosen = _names(over, affordable[-1]) if len(affordable) else ()
    return _scenario(inputs, "Best for budget", chosen, measured.expect(inputs.names, chosen, over))


def sensitivity(
    inputs: CostInputs,
    masked: Collection[str],
    *,
    factors: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    measured: MeasuredRoles | None = None,
    budget: float | None = None,
) -> list[Sensitivity]:
    """What changes if a mask takes longer or shorter than assumed; with `budget`, which classes it then buys.

    Raises:
        ConfigError: as `best_for_budget`; a factor is negative.
        UnknownClassError: a masked class is not among the classes.
    """
    rows = []
    for factor in factors:
        if not factor >= 0:
            raise ConfigError(f"a mask cannot take {factor} times as long")
        changed = inputs.with_mask_factor(factor)
        best = None if budget is None or measured is None else best_for_budget(changed, measured, budget)
        rows.append(
            Sensitivity(
                factor=factor,
                mask_seconds=changed.seconds.mask,
                all_masks=plan_cost(changed, inputs.names).money,
                weak_shot=plan_cost(changed, masked).money,
                labels_only=plan_cost(changed, ()).money,
                best_masked=best.masked if best else None,
                best_miou=best.expected.miou if best else None,
            )
        )
    return rows


def plan_rows(inputs: CostInputs, masked: Collection[str], measured: MeasuredRoles | None = None) -> list[PlanRow]:
    """The plan class by class; results.to_csv makes a file of it. Raises UnknownClassError as `plan_cost`."""
    masked = _checked(inputs, masked)
    iou = measured.class_iou(inputs.names, masked) if measured else {}
    rows = []
    for frequency in inputs.classes:
        name, is_base = frequency.name, frequency.name in masked
        cost = class_cost(inputs, frequency, "mask" if is_base else "image_label")
        photos = inputs.images * frequency.share
        rows.append(
            PlanRow(
                class_name=name,
                role="base" if is_base else "novel",
                annotation="mask" if is_base else "image label",
                photos_with_class=photos,
                masks=photos * (frequency.instances or inputs.instances) if is_base else 0.0,
                hours=cost.hours,
                money=cost.money,
                expected_iou=iou.get(name),
                mask_gain=measured.gain(name) if measured else None,
            )
        )
    return rows


def _efficient(inputs: CostInputs, measured: MeasuredRoles) -> EfficientSets:
    """Every efficient set whose mIoU was measured: costs = money, gains = expected mIoU of the whole plan."""
    over = measured.comparable(inputs.names)
    if not over:
        return EfficientSets(np.empty(0), np.empty(0), np.empty((0, 0), dtype=bool))
    extra = [
        class_cost(inputs, frequency, "mask").money - class_cost(inputs, frequency, "image_label").money
        for frequency in inputs.classes
        if frequency.name in over
    ]
    between = efficient_sets(extra, [measured.iou[name]["base"] - measured.iou[name]["novel"] for name in over])
    novel = sum(measured.iou[name]["novel"] for name in over)
    costs = list(plan_cost(inputs, ()).money + between.costs)
    values = list((novel + between.gains) / len(over))
    members = list(between.members)
    for chosen in ((), over):
        miou = measured.expect(inputs.names, chosen, over).miou
        if miou is not None:
            costs.append(plan_cost(inputs, chosen).money)
            values.append(miou)
            members.append(np.full(len(over), bool(chosen)))
    # Sums in another order differ in the last bits, which must not make a set look cheaper or better.
    largest = max(costs, default=0.0) or 1.0
    money, miou = np.array(costs, dtype=np.float64), np.array(values, dtype=np.float64)
    order = efficient_order(np.round(money / largest, 12), np.round(miou, 9))
    rows = np.array(members, dtype=bool).reshape(-1, len(over))
    return EfficientSets(money[order], miou[order], rows[order])


def _names(over: Sequence[str], members: np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, chosen in zip(over, members, strict=True) if chosen)


def _scenario(inputs: CostInputs, name: str, masked: Sequence[str], expected: Expected) -> Scenario:
    cost = plan_cost(inputs, masked)
    return Scenario(name=name, masked=tuple(masked), hours=cost.hours, money=cost.money, expected=expected)


def _checked(inputs: CostInputs, masked: Collection[str]) -> tuple[str, ...]:
    """The masked classes in class order; UnknownClassError for a name that is no class."""
    for name in masked:
        class_index(inputs.names, name)
    return tuple(name for name in inputs.names if name in masked)
