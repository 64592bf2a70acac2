from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_roles import draw_sets, draw_truth

from simformer.costs import ClassFrequency, Wishes, cost_inputs, plan_cost
from simformer.costs.decisions import decide
from simformer.costs.expectation import fit_roles
from simformer.costs.role_expectation import RoleExpectation
from simformer.costs.wishes import read_wishes
from simformer.errors import ConfigError


def drawn(classes=8, **effects):
    rng = np.random.default_rng(0)
    truth = draw_truth(rng, classes, **effects)
    model = fit_roles(draw_sets(rng, truth, 16), resampled=60)
    expectation = RoleExpectation(model, truth.oracle * 0.5, "role sets", "")
    frequencies = [ClassFrequency(name=name, share=0.3, instances=2) for name in expectation.classes]
    inputs = cost_inputs(images=100, classes=frequencies, hourly_rate=10)
    return inputs, expectation


def test_every_class_has_a_decision_that_fits_its_share():
    inputs, expectation = drawn()
    labels, masks = plan_cost(inputs, ()).money, plan_cost(inputs, inputs.names).money
    found = decide(inputs, expectation, (labels + masks) / 2)
    assert [row.class_name for row in found.classes] == list(inputs.names)
    for row in found.classes:
        wanted = "mask" if row.share >= 0.8 else "labels will do" if row.share <= 0.2 else "undecided"
        assert row.decision == wanted
    assert len({row.decision for row in found.classes}) > 1
    following = found.next_training
    assert 0 < len(following.novel) < len(inputs.names) and 0 < following.settles <= 1
    assert expectation.model.measured.find(np.isin(inputs.names, following.novel)) is None


def test_with_all_the_money_or_none_nothing_is_open():
    inputs, expectation = drawn(count=-8.0)
    labels, masks = plan_cost(inputs, ()).money, plan_cost(inputs, inputs.names).money
    assert {row.decision for row in decide(inputs, expectation, labels).classes} == {"labels will do"}
    found = decide(inputs, expectation, masks)
    assert {row.decision for row in found.classes} == {"mask"}


@pytest.mark.parametrize(("reached", "shares"), [(100.0, {0.0, 1.0}), (0.0, {1.0})])
def test_a_trained_role_set_competes_with_what_it_reached(reached, shares):
    inputs, expectation = drawn(count=-8.0)
    model = expectation.model
    first, *others = model.measured.sets
    sets = (replace(first, iou=np.full_like(first.iou, reached)), *(replace(one, iou=one.iou * 0) for one in others))
    expectation = replace(expectation, model=replace(model, measured=replace(model.measured, sets=sets)))
    found = decide(inputs, expectation, plan_cost(inputs, inputs.names).money)
    assert {row.share for row in found.classes} == shares
    if reached:
        assert [row.share == 0 for row in found.classes] == first.novel.tolist()


def test_wishes_decide():
    inputs, expectation = drawn()
    first, second = inputs.names[:2]
    budget = plan_cost(inputs, inputs.names[:5]).money
    shares = {
        row.class_name: row.share
        for row in decide(inputs, expectation, budget, Wishes(masks=(first,), labels=(second,))).classes
    }
    assert shares[first] == 1 and shares[second] == 0


def test_wishes_are_read():
    found = read_wishes("traffic light at least 60 %; sky weight 0\ncow masks\n road labels ;")
    assert found == Wishes(least={"traffic light": 60}, weights={"sky": 0}, masks=("cow",), labels=("road",))
    assert read_wishes(None) == read_wishes("") == read_wishes([]) == Wishes()
    assert read_wishes(["cow masks", "sky weight 2"]) == Wishes(masks=("cow",), weights={"sky": 2})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cow is nice", "'cow is nice' is no wish"),
        ("cow weight much", "'much' is not a number"),
        ("cow weight nan", "finite"),
    ],
)
def test_what_is_no_wish_is_said(text, words):
    with pytest.raises(ConfigError, match=words):
        read_wishes(text)
