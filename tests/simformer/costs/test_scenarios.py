from __future__ import annotations

import csv
import io

import pytest
from known_roles import known_roles

from simformer.costs import (
    ALL_MASKS,
    LABELS_ONLY,
    WEAK_SHOT,
    AnnotationSeconds,
    ClassFrequency,
    annotation_costs,
    best_for_budget,
    class_cost,
    cost_by_kind,
    cost_inputs,
    plan_cost,
    plan_rows,
    scenarios,
)
from simformer.costs.typed import read_inputs
from simformer.costs.wishes import read_wishes
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
    rows = scenarios(small(), ["cat"], known_roles(IOU))
    assert [row.name for row in rows] == [ALL_MASKS, WEAK_SHOT, LABELS_ONLY]
    assert [row.masked for row in rows] == [("sky", "cat"), ("cat",), ()]
    assert [row.money for row in rows] == pytest.approx([155 + 99, 10 + 99, 10 + 10])
    assert [row.expected.miou for row in rows] == pytest.approx([81.0, 75.0, 50.0])


def test_unknown_class():
    with pytest.raises(UnknownClassError, match="cats"):
        plan_cost(small(), ["cats"])
    with pytest.raises(UnknownClassError, match="did you mean 'cat'"):
        scenarios(small(), ["cats"], known_roles(IOU))


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


# ------------------------------------------------------------------------------------------ what if, plan


def test_plan_adds_up_and_is_a_table():
    inputs = small()
    rows = plan_rows(inputs, ["cat"], known_roles(IOU))
    assert sum(row.money for row in rows) == pytest.approx(plan_cost(inputs, ["cat"]).money)
    sky, cat = csv.DictReader(io.StringIO(to_csv(rows)))
    assert (sky["role"], sky["annotation"], float(sky["masks"])) == ("novel", "image label", 0)
    assert (cat["role"], cat["annotation"], float(cat["masks"])) == ("base", "mask", 540)
    assert (float(cat["expected_iou"]), float(cat["mask_gain"])) == pytest.approx((70, 30))
    assert plan_rows(inputs, [])[0].expected_iou is None


def test_masks_that_are_there_cost_nothing_and_stay_masks():
    inputs = small(have=("sky",))
    everything, weak, none = scenarios(inputs, ["cat"], known_roles(IOU))
    assert none.name == "No more masks" and none.masked == ("sky",) and weak.masked == ("sky", "cat")
    # Cat alone costs: 1,800 answers of 2 s; or 1,620 and 180 x 3 masks of 60 s.
    assert none.hours == pytest.approx(1800 * 2 / 3600)
    assert everything.hours == weak.hours == pytest.approx((1620 * 2 + 540 * 60) / 3600)
    sky, cat = plan_rows(inputs, [])
    assert (sky.role, sky.annotation, sky.money, sky.masks) == ("base", "has masks", 0, 0)
    assert (cat.role, cat.annotation) == ("novel", "image label")


def test_the_best_choice_keeps_masks_that_are_there():
    known = known_roles(IOU)
    best = best_for_budget(small(have=("sky",)), known, plan_cost(small(have=("sky",)), ()).money)
    assert best.masked == ("sky",)
    with pytest.raises(ConfigError, match="sky has masks already"):
        best_for_budget(small(have=("sky",)), known, 1e6, read_wishes("sky labels"))
    with pytest.raises(UnknownClassError, match="horse"):
        read_inputs(5, small().classes, {}, 10, 0, None, "EUR", have=["horse"])


def test_an_assistant_is_another_kind_of_mask():
    by_hand, assisted = small(), small(drawn_by="assistant", seconds={**SECONDS, "assisted_mask": 15.0})
    assert plan_cost(by_hand, ["cat"]).hours - plan_cost(assisted, ["cat"]).hours == pytest.approx(540 * 45 / 3600)
    assert plan_cost(by_hand, ()) == plan_cost(assisted, ())
    assert assisted.with_mask_factor(2).mask_seconds == 30 and assisted.with_mask_factor(2).seconds.mask == 60
    costs = annotation_costs()["defaults"]
    assert costs["assisted_mask"]["seconds"] < costs["mask"]["range"][0]
    with pytest.raises(ConfigError, match="drawn_by"):
        small(drawn_by="nobody")
