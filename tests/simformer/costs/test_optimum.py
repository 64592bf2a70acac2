"""The best classes to mask where they share photos: against every choice there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from drawn_roles import draw_sets, draw_truth

from simformer.costs.expectation import fit_roles
from simformer.costs.optimum import best_roles
from simformer.costs.role_expectation import RoleExpectation
from simformer.costs.search import Goal


def drawn_goal(seed, classes, together):
    """A goal with weights, classes of given role and a least IoU in some of the cases, and a budget."""
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, classes, together=together)
    model = fit_roles(draw_sets(rng, truth, 24), choose=False, resampled=0)
    weights = rng.uniform(0.2, 3, classes) if seed % 3 == 0 else np.ones(classes)
    base, novel, least = np.zeros(classes, dtype=bool), np.zeros(classes, dtype=bool), np.zeros(classes)
    base[0] = novel[1] = seed % 4 == 1
    least[2] = 0.8 * truth.oracle[2] if seed % 4 == 2 else 0
    expectation = RoleExpectation(model, truth.oracle * rng.uniform(0.3, 0.7, classes), "role sets", "")
    goal = Goal(expectation, weights / weights.sum(), 20.0, rng.uniform(1, 50, classes), base, novel, least)
    return goal, 20 + rng.uniform(0.1, 0.9) * goal.extra.sum()


@pytest.mark.parametrize("seed", range(12))
def test_the_optimum_is_that_of_all_choices(seed):
    goal, budget = drawn_goal(seed, 9, together=-0.6 * (seed % 2))
    choices = np.array(list(product((False, True), repeat=9)))
    values = np.where(goal.affordable(choices, budget), goal.values(choices), -np.inf)
    found = best_roles(goal, budget)
    if values.max() == -np.inf:
        assert found is None
        return
    assert found.value == pytest.approx(values.max(), abs=0.006)
    assert found.bound >= values.max() - 1e-6
    assert goal.affordable(found.novel, budget)
    assert goal.values(found.novel[None])[0] == pytest.approx(found.value)


def test_of_equally_good_choices_the_cheapest():
    goal, _ = drawn_goal(0, 6, together=0.0)
    nothing = Goal(goal.expectation, np.eye(6)[0], 20.0, goal.extra, goal.base, goal.novel, np.zeros(6))
    choices = np.array(list(product((False, True), repeat=6)))
    found = best_roles(nothing, 1000.0)
    best = nothing.values(choices).max()
    cheapest = nothing.money(choices)[nothing.values(choices) >= best - 1e-6].min()
    assert nothing.money(found.novel) == pytest.approx(cheapest)


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "proven"), [(21, True), (60, True), (250, False)])
def test_many_classes_have_a_bound_or_say_so(classes, proven):
    goal, budget = drawn_goal(3, classes, together=-0.2)
    found = best_roles(goal, budget)
    assert (found.bound is not None) == proven
    if proven:
        assert found.value <= found.bound <= 100
