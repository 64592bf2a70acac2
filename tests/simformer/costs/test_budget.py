"""The best classes for a budget and the frontier, against every choice there is."""

from __future__ import annotations

import random
from itertools import pairwise, product

import numpy as np
import pytest
from known_roles import known_roles

from simformer.costs import (
    ClassFrequency,
    NotMeasured,
    Wishes,
    best_for_budget,
    cost_inputs,
    frontier,
    plan_cost,
    sensitivity,
)
from simformer.costs.budget import goal_of
from simformer.errors import ConfigError, UnknownClassError

IOU = {
    "sky": {"base": 90.0, "novel": 80.0, "cam": 60.0, "oracle": 91.0},
    "cat": {"base": 70.0, "novel": 40.0, "cam": 40.0, "oracle": 71.0},
}


def small(**changes):
    """1,800 photos: sky in half of them, once; cat in a tenth of them, three times."""
    classes = ({"name": "sky", "share": 0.5, "instances": 1}, {"name": "cat", "share": 0.1, "instances": 3})
    seconds = {"image_label": 2.0, "mask": 60.0}
    return cost_inputs(**{"images": 1800, "classes": classes, "seconds": seconds, "hourly_rate": 10.0, **changes})


def random_case(rng):
    """Up to 8 classes with costs and IoU in round numbers, so that ties and exact budgets occur."""
    names = [f"class {i}" for i in range(rng.randint(2, 8))]
    classes = [
        ClassFrequency(name=name, share=rng.choice([0, 0.25, 0.5, 1]), instances=rng.choice([1, 2, 5]))
        for name in names
    ]
    iou = {}
    for name in names:
        oracle = rng.randint(30, 95)
        iou[name] = {"base": rng.randint(20, oracle), "novel": rng.randint(5, oracle), "oracle": oracle}
        iou[name]["cam"] = rng.randint(0, 90)
    seconds = {"image_label": rng.choice([0, 10]), "mask": rng.choice([5, 100])}
    return cost_inputs(images=36, classes=classes, seconds=seconds, hourly_rate=10), known_roles(iou)


def every_choice(inputs, expectation):
    """Money and mIoU of every choice of classes to mask."""
    goal = goal_of(inputs, expectation, Wishes())
    choices = np.array(list(product((False, True), repeat=len(inputs.names))))
    return goal.money(choices), goal.values(choices)


def test_the_best_for_a_budget_is_that_of_all_choices():
    rng = random.Random(0)
    for _ in range(60):
        inputs, expectation = random_case(rng)
        money, miou = every_choice(inputs, expectation)
        labels = plan_cost(inputs, ()).money
        # Exactly what one choice costs, or anything between.
        budget = max(rng.choice([rng.choice(money), rng.uniform(money.min(), money.max())]), labels)
        affordable = money <= budget * (1 + 1e-9)
        best = best_for_budget(inputs, expectation, budget)
        assert best.expected.miou == pytest.approx(miou[affordable].max(), abs=0.006)
        assert best.money == pytest.approx(plan_cost(inputs, best.masked).money)
        assert best.money <= budget * (1 + 1e-9)


def test_the_frontier_holds_every_efficient_choice():
    rng = random.Random(1)
    for _ in range(20):
        inputs, expectation = random_case(rng)
        points = frontier(inputs, expectation)
        for money, miou in zip(*every_choice(inputs, expectation), strict=True):
            reached = max((p.expected.miou for p in points if p.money <= money * (1 + 1e-9)), default=-1)
            assert reached >= miou - 1e-6
        for before, after in pairwise(points):
            assert after.money > before.money and after.expected.miou > before.expected.miou
        assert len(frontier(inputs, expectation, points=3)) <= 3


def test_a_budget_that_buys_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"15\.00 USD does not cover image-level labels .* 20\.00 USD"):
        best_for_budget(small(), known_roles(IOU), 15)
    assert best_for_budget(small(), known_roles(IOU), 20).masked == ()
    with pytest.raises(ConfigError, match="does not cover"):
        best_for_budget(small(), known_roles(IOU), float("nan"))


def test_without_measurements_there_is_no_best():
    with pytest.raises(ConfigError, match="not known: Not measured"):
        best_for_budget(small(), NotMeasured(), 1e6)


def test_image_labels_are_an_answer_even_if_cam_was_not_measured():
    unknown = known_roles(
        {name: {role: v for role, v in roles.items() if role != "cam"} for name, roles in IOU.items()}
    )
    best = best_for_budget(small(), unknown, 20)
    assert best.masked == () and best.expected.miou is None and best.gap is None
    assert () not in [point.masked for point in frontier(small(), unknown)]


@pytest.mark.parametrize(
    ("wishes", "masked"),
    [
        ({}, ("sky", "cat")),
        ({"labels": ["sky"]}, ("cat",)),
        ({"weights": {"cat": 0}, "labels": ["cat"]}, ("sky",)),
        ({"masks": ["sky"], "labels": ["cat"]}, ("sky",)),
        ({"least": {"cat": 65}, "labels": ["sky"]}, ("cat",)),
    ],
)
def test_wishes(wishes, masked):
    assert best_for_budget(small(), known_roles(IOU), 1000, Wishes(**wishes)).masked == masked


def test_a_class_asked_for_gets_its_masks_before_one_that_gains_more():
    # 120 USD pay for cat's masks (119) alone; 165 for sky's alone, which the wish for cat forbids.
    assert best_for_budget(small(), known_roles(IOU), 170).masked == ("cat",)
    wanted = best_for_budget(small(), known_roles(IOU), 170, Wishes(weights={"cat": 0.1}))
    assert wanted.masked == ("sky",)
    assert wanted.weighted_miou == pytest.approx((90 + 0.1 * 40) / 1.1)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"least": {"cat": 75}}, "no choice of masks within the budget is expected to give every class the IoU"),
        ({"masks": ["sky"]}, "more than the budget of 120"),
        ({"masks": ["sky"], "labels": ["sky"]}, "sky cannot both"),
        ({"weights": {"sky": -1}}, "a weight of -1"),
        ({"weights": {"sky": 0, "cat": 0}}, "no class has a weight"),
        ({"least": {"sky": 101}}, "an IoU of 101 %"),
    ],
)
def test_wishes_that_cannot_be_are_sentences(wishes, words):
    with pytest.raises(ConfigError, match=words):
        best_for_budget(small(), known_roles(IOU), 120, Wishes(**wishes))


def test_wishes_are_for_classes_of_the_plan():
    with pytest.raises(UnknownClassError, match="did you mean 'cat'"):
        best_for_budget(small(), known_roles(IOU), 120, Wishes(masks=("cats",)))


def test_sensitivity():
    known = known_roles(IOU)
    bought = {"expectation": known, "best": best_for_budget(small(), known, 125), "budget": 125}
    rows = sensitivity(small(), ["cat"], factors=[1, 2], **bought)
    assert [row.mask_seconds for row in rows] == [60.0, 120.0]
    # Sky: answers for 10. Cat: answers for 9, masks for 90, then 180.
    assert [row.weak_shot for row in rows] == pytest.approx([109.0, 199.0])
    assert [row.all_masks for row in rows] == pytest.approx([155 + 99, 305 + 189])
    assert [row.labels_only for row in rows] == pytest.approx([20.0, 20.0])
    assert [row.best_masked for row in rows] == [("cat",), ()]
    assert [row.best_miou for row in rows] == pytest.approx([75.0, 50.0])
    with pytest.raises(ConfigError, match="-1"):
        sensitivity(small(), [], factors=[-1])
