"""The random walk on cells in a row: what it keeps, where it stops, and what its second stage fills."""

from __future__ import annotations

import numpy as np
import pytest

from train.pseudo.retab.random_walk import propagate, transition, walk

CELLS = 9
FIRST, SECOND = np.arange(CELLS - 1), np.arange(1, CELLS)
NONE = np.zeros(CELLS, bool)


def spread(maps: list[list[float]], boundary=NONE, fixed=NONE, weight=1.0, steps=256) -> np.ndarray:
    """The maps after both stages, cells in a row being neighbors."""
    return propagate(
        np.array(maps, np.float64),
        FIRST,
        SECOND,
        np.full(CELLS - 1, weight),
        np.array(boundary),
        np.array(fixed),
        steps,
    )


def at(*cells: int) -> np.ndarray:
    """True at these cells."""
    return np.isin(np.arange(CELLS), cells)


def test_transition_by_hand():
    step = transition(np.array([0, 1, 1]), np.array([1, 0, 2]), np.array([0.5, 0.5, 0.25]), 3)
    assert step.toarray() == pytest.approx(np.array([[1 / 1.5, 0.5 / 1.5, 0], [0.5 / 1.5, 1 / 1.5, 0.2], [0, 0, 0.8]]))


def test_columns_sum_to_one_and_what_the_maps_share_out_stays():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 20, (2, 60))
    step = transition(first, second, rng.random(60), 20)
    assert step.sum(0) == pytest.approx(np.ones(20))
    maps = rng.random((3, 20))
    maps /= maps.sum(0)
    after = walk(maps, step, 50)
    assert after.sum(0) == pytest.approx(np.ones(20))
    assert after == pytest.approx(maps @ np.linalg.matrix_power(step.toarray(), 50))
    assert np.ptp(after) < np.ptp(maps)


def test_first_stage_stops_at_a_boundary_and_second_fills_it_from_both_sides():
    maps = [[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]]
    left, right = spread(maps, boundary=at(4))
    # Four equal cells on either side come to their mean. At the ends, which have fewer neighbors, cells weigh less.
    weighted = np.array([2, 3, 3, 2]) / 10
    assert left[:4] == pytest.approx(np.full(4, weighted[1])) and right[5:] == pytest.approx(np.full(4, weighted[2]))
    assert not left[5:].any() and not right[:4].any()
    assert left[4] == pytest.approx(0.15) and right[4] == pytest.approx(0.15)


def test_second_stage_moves_boundary_cells_only():
    maps = [[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0]]
    one_stage = walk(
        np.array(maps),
        transition(np.r_[0:3, 1:4, 6:8, 7:9], np.r_[1:4, 0:3, 7:9, 6:8], np.ones(10), CELLS),
        256,
    )
    both = spread(maps, boundary=at(4, 5))
    assert both[0][~at(4, 5)] == pytest.approx(one_stage[0][~at(4, 5)])
    assert not one_stage[0][at(4, 5)].any()
    # Each takes from both sides, more from the nearer one.
    assert both[0][3] > both[0][4] > both[0][5] > both[0][6] > 0


def test_fixed_cells_have_their_values_back():
    base, novel = spread(
        [[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]], fixed=at(0, 1)
    )
    assert base[:2].tolist() == [1.0, 1.0] and novel[:2].tolist() == [0.0, 0.0]
    assert (base[2:] > 0).all() and (novel[2:] > 0).all()


def test_without_affinity_nothing_moves():
    maps = [[0.0, 1.0, 0.0, 0.0, 0.3, 0.0, 0.5, 0.0, 0.0]]
    assert spread(maps, boundary=at(4), weight=0.0) == pytest.approx(np.array(maps))
