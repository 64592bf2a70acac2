"""What annotation costs and what mIoU to expect of it: the costs of `inputs` and an expectation, put together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from simformer.costs.expected import Expectation, Expected
from simformer.costs.inputs import KINDS, Cost, CostInputs, Kind, Model, class_cost, role_cost
from simformer.costs.role_expectation import RoleExpectation
from simformer.splits import class_index

ALL_MASKS, WEAK_SHOT, LABELS_ONLY = "All masks", "Weak-shot", "Image labels only"
NO_MORE_MASKS = "No more masks"
"""In the place of `LABELS_ONLY` where classes have masks already."""


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
    """One class of a plan; hours and money are over all photos, IoU in percent, None = not measured.

    `mask_gain` is what its mask gains, all other roles as they are, in points of its own IoU.
    """

    class_name: str
    role: Literal["base", "novel"]
    annotation: Literal["has masks", "mask", "image label"]
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
    masked = set(_checked(inputs, masked))
    hours = sum(role_cost(inputs, frequency, masked=frequency.name in masked).hours for frequency in inputs.classes)
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
    labels_only = LABELS_ONLY if not inputs.have else NO_MORE_MASKS
    sets = {ALL_MASKS: inputs.names, WEAK_SHOT: _checked(inputs, masked), labels_only: _checked(inputs, ())}
    return [priced(inputs, name, chosen, expectation.expect(inputs.names, chosen)) for name, chosen in sets.items()]


def plan_rows(inputs: CostInputs, masked: Collection[str], expectation: Expectation | None = None) -> list[PlanRow]:
    """The plan class by class; results.to_csv makes a file of it. Raises UnknownClassError as `plan_cost`."""
    masked = set(_checked(inputs, masked))
    known = expectation if isinstance(expectation, RoleExpectation) else None
    iou, gains = (known.class_iou(masked), known.gain(masked)) if known else ({}, {})
    rows = []
    for frequency in inputs.classes:
        name, is_base = frequency.name, frequency.name in masked
        cost, has = role_cost(inputs, frequency, masked=is_base), name in inputs.have
        photos = inputs.images * frequency.share
        drawn = photos * inputs.mask_share * (frequency.instances or inputs.instances)
        rows.append(
            PlanRow(
                class_name=name,
                role="base" if is_base else "novel",
                annotation="has masks" if has else "mask" if is_base else "image label",
                photos_with_class=photos,
                masks=drawn if is_base and not has else 0.0,
                hours=cost.hours,
                money=cost.money,
                expected_iou=iou.get(name),
                mask_gain=gains.get(name),
            )
        )
    return rows


def priced(inputs: CostInputs, name: str, masked: Sequence[str], expected: Expected) -> Scenario:
    """A choice of classes to mask (in class order) with its cost."""
    cost = plan_cost(inputs, masked)
    return Scenario(name=name, masked=tuple(masked), hours=cost.hours, money=cost.money, expected=expected)


def _checked(inputs: CostInputs, masked: Collection[str]) -> tuple[str, ...]:
    """The masked classes, with those that have masks, in class order; UnknownClassError for a name that is no class."""
    names, chosen = inputs.names, {*masked, *inputs.have}
    for name in chosen.difference(names):
        class_index(names, name)
    return tuple(name for name in names if name in chosen)
