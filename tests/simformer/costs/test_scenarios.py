from __future__ import annotations

import csv
import io
import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simformer.costs import (
    ALL_MASKS,
    LABELS_ONLY,
    WEAK_SHOT,
    AnnotationSeconds,
    ClassFrequency,
    MeasuredRoles,
    annotation_costs,
    best_for_budget,
    class_cost,
    cost_by_kind,
    cost_inputs,
    frontier,
    on_frontier,
    plan_cost,
    plan_rows,
    scenarios,
    sensitivity,
)
from simformer.errors import ConfigError, UnknownClassError
from simformer.results import to_csv

SECONDS = {"image_label": 2.0, "mask": 60.0}
IOU = {
    "sky": {"base": 90.0, "novel": 80.0, "cam": 60.0, "oracle": 91.0},
    "cat": {"base": 70.0, "novel": 40.0, "cam": 40.0, "oracle": 71.0},
}


def small(**changes):
    """1,800 photos: sky in half of them, once; cat in a tenth of them, three times."""
    classes = (
        ClassFrequency(name="sky", share=0.5, instances=1),
        ClassFrequency(name="cat", share=0.1, instances=3),
    )
    values = {"images": 1800, "classes": classes, "seconds": SECONDS, "hourly_rate": 10.0, **changes}
    return cost_inputs(**values)


def pascal_voc():
    """One photo of PASCAL VOC: 20 candidate classes, 1.5 of them present, 2.8 instances."""
    classes = tuple(ClassFrequency(name=f"class {i}", share=1.5 / 20) for i in range(20))
    return cost_inputs(images=1, classes=classes, hourly_rate=1.0)


def test_the_shipped_seconds_give_back_the_reported_totals():
    seconds = {row.kind: row.hours * 3600 for row in cost_by_kind(pascal_voc())}
    assert seconds["image_label"] == pytest.approx(20.0)
    assert seconds["point"] == pytest.approx(22.1)
    assert seconds["scribble"] == pytest.approx(34.85)
    assert seconds["mask"] == pytest.approx(239.7, abs=0.01)


def test_every_default_has_a_source():
    costs = annotation_costs()
    for kind in AnnotationSeconds.model_fields:
        default = costs["defaults"][kind]
        low, high = default["range"]
        assert low <= default["seconds"] <= high
        assert default["citation"] and default["why"] and default["per"]
        assert any(s["kind"] == kind and s["seconds"] == default["seconds"] for s in costs["sources"])
    assert all(source["citation"] and source["year"] for source in costs["sources"])


def test_hours_and_money_by_hand():
    inputs = small()
    # Sky masked: 900 answers of 2 s and 900 masks of 60 s; cat labelled: 1,800 answers of 2 s.
    seconds = 900 * 2 + 900 * 60 + 1800 * 2
    cost = plan_cost(inputs, ["sky"])
    assert cost.hours == pytest.approx(seconds / 3600)
    assert cost.money == pytest.approx(seconds / 360)
    # Cat masked: 1,620 answers and 180 photos with 3 masks each.
    assert class_cost(inputs, inputs.classes[1], "mask").hours * 3600 == pytest.approx(1620 * 2 + 180 * 3 * 60)


def test_quality_control_adds_its_share():
    assert plan_cost(small(quality_control=0.25), ["cat"]).money == pytest.approx(
        1.25 * plan_cost(small(), ["cat"]).money
    )


def test_three_scenarios():
    rows = scenarios(small(), ["cat"], MeasuredRoles(IOU))
    assert [row.name for row in rows] == [ALL_MASKS, WEAK_SHOT, LABELS_ONLY]
    assert [row.masked for row in rows] == [("sky", "cat"), ("cat",), ()]
    assert [row.money for row in rows] == pytest.approx([155 + 99, 10 + 99, 10 + 10])
    assert [row.expected.miou for row in rows] == pytest.approx([81.0, 75.0, 50.0])


def test_unknown_class():
    with pytest.raises(UnknownClassError, match="cats"):
        plan_cost(small(), ["cats"])
    with pytest.raises(UnknownClassError, match="did you mean 'cat'"):
        scenarios(small(), ["cats"], MeasuredRoles(IOU))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"images": 0}, "images"),
        ({"hourly_rate": float("nan")}, "hourly_rate"),
        ({"seconds": {"mask": -1}}, "seconds.mask"),
        ({"seconds": {"masks": 1}}, "seconds.masks"),
        ({"classes": ()}, "classes"),
        ({"classes": ({"name": "Cow", "share": 1.5},)}, "classes.0.share"),
        ({"classes": ({"name": "Cow", "share": 0.5},) * 2}, "'Cow' is listed twice"),
    ],
)
def test_bad_inputs_are_named(changes, named):
    with pytest.raises(ConfigError, match=named):
        small(**changes)


# ------------------------------------------------------------------------------------------ optimum


def random_case(rng: random.Random):
    """Up to 12 classes with costs and IoU in round numbers, so that ties and exact budgets occur."""
    names = [f"class {i}" for i in range(rng.randint(1, 12))]
    classes = [
        ClassFrequency(name=name, share=rng.choice([0, 0.25, 0.5, 1]), instances=rng.choice([1, 2, 5]))
        for name in names
    ]
    iou = {}
    for name in names:
        iou[name] = {"base": rng.randint(20, 90), "novel": rng.randint(5, 80), "cam": rng.randint(0, 90)}
        if rng.random() < 0.7:
            iou[name]["oracle"] = rng.randint(10, 95)
        if rng.random() < 0.15:
            del iou[name][rng.choice(["base", "novel", "cam"])]
    inputs = cost_inputs(
        images=36,
        classes=classes,
        seconds={"image_label": rng.choice([0, 10]), "mask": rng.choice([5, 100])},
        hourly_rate=10,
    )
    return inputs, MeasuredRoles(iou)


def every_plan(inputs, measured):
    """(money, mIoU over the comparable classes) of every set of comparable classes whose mIoU is known."""
    iou = measured.iou
    over = [name for name in inputs.names if "base" in iou[name] and "novel" in iou[name]]
    money = {
        frequency.name: [class_cost(inputs, frequency, kind).money for kind in ("image_label", "mask")]
        for frequency in inputs.classes
    }
    labels_only = sum(label for label, _ in money.values())
    all_oracle = all("oracle" in iou[name] for name in inputs.names)
    for size in range(len(over) + 1):
        for masked in map(set, combinations(over, size)):
            if not masked:
                values = [iou[name].get("cam") for name in over]
            elif len(masked) == len(inputs.names):
                values = [iou[name]["oracle" if all_oracle else "base"] for name in over]
            else:
                values = [iou[name]["base" if name in masked else "novel"] for name in over]
            if None not in values:
                extra = sum(money[name][1] - money[name][0] for name in masked)
                yield labels_only + extra, sum(values) / len(values)


def test_budget_optimum_equals_brute_force_on_200_random_cases():
    rng = random.Random(0)
    compared = 0
    while compared < 200:
        inputs, measured = random_case(rng)
        if not measured.comparable(inputs.names):
            continue
        plans = list(every_plan(inputs, measured))
        if not plans:
            continue
        moneys = [money for money, _ in plans]
        # Exactly what one plan costs, or anything between.
        budget = rng.choice([rng.choice(moneys), rng.uniform(min(moneys), max(moneys))])
        affordable = [(money, miou) for money, miou in plans if money <= budget * (1 + 1e-9)]
        highest = max(miou for _, miou in affordable)
        cheapest = min(money for money, miou in affordable if miou >= highest - 1e-9)
        best = best_for_budget(inputs, measured, budget)
        assert best.expected.miou == pytest.approx(highest)
        assert best.money == pytest.approx(cheapest)
        assert best.money == pytest.approx(plan_cost(inputs, best.masked).money)
        compared += 1


def test_frontier_equals_brute_force():
    rng = random.Random(1)
    compared = 0
    while compared < 40:
        inputs, measured = random_case(rng)
        if len(inputs.names) > 8 or not measured.comparable(inputs.names):
            continue
        plans = list(every_plan(inputs, measured))
        efficient = []
        for money, miou in sorted(plans, key=lambda plan: (round(plan[0], 6), -plan[1])):
            if not efficient or miou > efficient[-1][1] + 1e-9:
                efficient.append((money, miou))
        points = frontier(inputs, measured)
        assert [point.money for point in points] == pytest.approx([money for money, _ in efficient])
        assert [point.expected.miou for point in points] == pytest.approx([miou for _, miou in efficient])
        compared += 1


def measured_case(count=14):
    rng = random.Random(5)
    classes = [
        ClassFrequency(name=f"class {i}", share=rng.uniform(0.05, 0.5), instances=rng.uniform(1, 4))
        for i in range(count)
    ]
    iou = {}
    for frequency in classes:
        novel = rng.uniform(20, 60)
        base = novel + rng.uniform(1, 30)
        iou[frequency.name] = {"base": base, "novel": novel, "cam": novel - 10, "oracle": base + 1}
    return cost_inputs(images=1000, classes=classes, hourly_rate=20), MeasuredRoles(iou)


def test_frontier_rises_and_runs_from_no_masks_to_all():
    inputs, measured = measured_case()
    points = frontier(inputs, measured)
    assert points[0].masked == () and points[-1].masked == inputs.names
    for before, after in pairwise(points):
        assert after.money > before.money and after.expected.miou > before.expected.miou
    shown = frontier(inputs, measured, limit=10)
    assert len(shown) == 10
    assert (shown[0], shown[-1]) == (points[0], points[-1])
    assert {point.masked for point in shown} <= {point.masked for point in points}


@given(st.sets(st.integers(0, 13)))
def test_present_roles_are_never_above_the_frontier(chosen):
    inputs, measured = measured_case()
    present = on_frontier(inputs, measured, [inputs.names[index] for index in chosen])
    best = best_for_budget(inputs, measured, present.money)
    assert best.money <= present.money * (1 + 1e-9)
    assert best.expected.miou >= present.expected.miou - 1e-9


def test_a_class_without_both_measurements_keeps_its_image_labels():
    inputs = small()
    measured = MeasuredRoles({"sky": IOU["sky"], "cat": {"base": 99.0, "cam": 1.0}})
    best = best_for_budget(inputs, measured, 10_000)
    assert best.masked == ("sky",)
    assert best.expected.counted == 1


def test_budget_that_buys_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"15\.00 USD does not cover image-level labels .* 20\.00 USD"):
        best_for_budget(small(), MeasuredRoles(IOU), 15)
    assert best_for_budget(small(), MeasuredRoles(IOU), 20).masked == ()
    with pytest.raises(ConfigError, match="does not cover"):
        best_for_budget(small(), MeasuredRoles(IOU), float("nan"))


def test_without_measurements_there_is_no_optimum():
    with pytest.raises(ConfigError, match="not known"):
        best_for_budget(small(), MeasuredRoles({}), 1e6)
    assert frontier(small(), MeasuredRoles({})) == []


def test_image_labels_are_an_answer_even_if_cam_was_not_measured():
    iou = {name: {role: v for role, v in roles.items() if role != "cam"} for name, roles in IOU.items()}
    best = best_for_budget(small(), MeasuredRoles(iou), 20)
    assert best.masked == () and best.expected.miou is None
    assert () not in [point.masked for point in frontier(small(), MeasuredRoles(iou))]


# ------------------------------------------------------------------------------------------ what if, plan


def test_sensitivity():
    rows = sensitivity(small(), ["cat"], factors=[1, 2], measured=MeasuredRoles(IOU), budget=110)
    assert [row.mask_seconds for row in rows] == [60.0, 120.0]
    # Sky: answers for 10. Cat: answers for 9, masks for 90, then 180.
    assert [row.weak_shot for row in rows] == pytest.approx([109.0, 199.0])
    assert [row.all_masks for row in rows] == pytest.approx([155 + 99, 305 + 189])
    assert [row.labels_only for row in rows] == pytest.approx([20.0, 20.0])
    assert [row.best_masked for row in rows] == [("cat",), ()]
    assert [row.best_miou for row in rows] == pytest.approx([75.0, 50.0])
    with pytest.raises(ConfigError, match="-1"):
        sensitivity(small(), [], factors=[-1])


def test_plan_adds_up_and_is_a_table():
    inputs = small()
    rows = plan_rows(inputs, ["cat"], MeasuredRoles(IOU))
    assert sum(row.money for row in rows) == pytest.approx(plan_cost(inputs, ["cat"]).money)
    sky, cat = csv.DictReader(io.StringIO(to_csv(rows)))
    assert (sky["role"], sky["annotation"], float(sky["masks"])) == ("novel", "image label", 0)
    assert (cat["role"], cat["annotation"], float(cat["masks"])) == ("base", "mask", 540)
    assert (float(cat["expected_iou"]), float(cat["mask_gain"])) == (70, 30)
    assert plan_rows(inputs, [])[0].expected_iou is None
