from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simformer.costs.knapsack import efficient_order, efficient_sets

ITEMS = st.lists(st.tuples(st.integers(-3, 9), st.integers(-5, 9)), min_size=1, max_size=7)


def proper_sets(costs, gains):
    """(cost, gain) of every set that is neither empty nor full."""
    for chosen in product((False, True), repeat=len(costs)):
        if any(chosen) and not all(chosen):
            yield (
                sum(c for c, taken in zip(costs, chosen, strict=True) if taken),
                sum(g for g, taken in zip(gains, chosen, strict=True) if taken),
            )


def test_worked_example():
    # Alone: a (2, 3), b (1, 1), c (4, 8). Pairs: ab (3, 4), ac (6, 11), bc (5, 9). None dominates another.
    found = efficient_sets([2, 1, 4], [3, 1, 8])
    assert found.costs.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.gains.tolist() == [1, 3, 4, 8, 9, 11]
    assert found.members.tolist() == [
        [False, True, False],
        [True, False, False],
        [True, True, False],
        [False, False, True],
        [False, True, True],
        [True, False, True],
    ]


def test_dominated_sets_are_left_out():
    # b costs more and gains less than a; with two classes, only sets of one class are proper.
    found = efficient_sets([1, 2], [5, 4])
    assert found.members.tolist() == [[True, False]]


def test_one_class_has_no_proper_set():
    assert len(efficient_sets([1], [1]).costs) == 0


@given(ITEMS)
def test_same_as_enumeration(items):
    costs, gains = zip(*items, strict=True)
    sets = list(proper_sets(costs, gains))
    best = [
        (cost, gain)
        for cost, gain in set(sets)
        if not any((c <= cost and g > gain) or (c < cost and g == gain) for c, g in sets)
    ]
    found = efficient_sets(costs, gains)
    assert list(zip(found.costs.tolist(), found.gains.tolist(), strict=True)) == sorted(best)
    # The members are what the sums are over.
    np.testing.assert_allclose(found.members @ np.array(costs), found.costs)
    np.testing.assert_allclose(found.members @ np.array(gains), found.gains)


def test_many_classes_are_quick_and_agree_with_an_integer_programme():
    scipy_optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(3)
    costs, gains = rng.uniform(1, 100, 60), rng.uniform(0, 30, 60)
    found = efficient_sets(costs, gains)
    for budget in (50, 400, 1500):
        answer = scipy_optimize.milp(
            -gains,
            constraints=scipy_optimize.LinearConstraint(costs[None], ub=budget),
            integrality=np.ones(60),
            bounds=scipy_optimize.Bounds(0, 1),
            options={"mip_rel_gap": 0},
        )
        ours = found.gains[found.costs <= budget][-1]
        assert ours == pytest.approx(-answer.fun, rel=1e-9)


def test_order_of_no_points():
    assert efficient_order(np.empty(0), np.empty(0)).tolist() == []
