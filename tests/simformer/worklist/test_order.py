from __future__ import annotations

import numpy as np
import pytest

from simformer.worklist.order import most_useful_first


def order(needed, drawn=None, uncertainty=None, looks=None, most=100):
    needed = np.array(needed, dtype=bool)
    alike = np.ones((len(needed), 1), np.float32)
    return most_useful_first(
        needed,
        np.zeros(needed.shape[1], np.int64) if drawn is None else np.array(drawn),
        np.zeros(len(needed)) if uncertainty is None else np.array(uncertainty, float),
        alike if looks is None else np.array(looks, np.float32),
        most,
    )


def test_classes_without_masks_come_first_and_take_turns():
    # Photos 0 to 2 show the first class, 3 the second, 4 both, 5 needs nothing.
    ranked = order([[1, 0], [1, 0], [1, 0], [0, 1], [1, 1], [0, 0]])
    assert [one.index for one in ranked] == [4, 0, 3, 1, 2]
    assert [one.index for one in order([[1, 0], [0, 1]], drawn=[9, 0])] == [1, 0]


def test_the_sum_by_hand():
    first, second = order([[1, 1], [1, 0]], drawn=[1, 0], uncertainty=[0.5, 0.25], looks=[[1, 0], [1, 1]])
    assert first.usefulness == pytest.approx((1 / 2 + 1) * 1.5 * 2) and first.variety == 1
    away = 1 - np.sqrt(0.5)
    assert second.usefulness == pytest.approx(1 / 3 * 1.25 * (1 + away)) and second.variety == pytest.approx(away)


def test_the_unsure_come_before_the_sure_and_the_different_before_the_alike():
    assert [one.index for one in order([[1], [1], [1]], uncertainty=[0.1, 0.9, 0.5])] == [1, 2, 0]
    # Frames of one film, and one photo of something else.
    looks = [[1, 0], [1, 0.01], [1, 0.02], [0, 1]]
    assert [one.index for one in order([[1]] * 4, looks=looks)][:2] == [0, 3]


def test_no_more_than_asked_for():
    assert len(order([[1]] * 9, most=4)) == 4 and order([[0]]) == []
