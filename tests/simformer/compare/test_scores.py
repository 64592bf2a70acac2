from __future__ import annotations

import numpy as np
import pytest

from simformer.compare.scores import ClassPixels, count_pixels, expansions, mean_iou
from simformer.errors import DatasetError
from simformer.evaluation import ConfusionMatrix

VOID = 255


def maps(*rows):
    return np.array(rows, dtype=np.uint8)


def test_counts_by_hand():
    truth = maps([0, 0, 1, 1], [0, 0, VOID, VOID])
    prediction = maps([0, 1, 1, VOID], [0, 2, 0, 0])
    found = count_pixels(prediction, truth, 3)
    assert found == {0: ClassPixels(4, 2, 2), 1: ClassPixels(2, 2, 1), 2: ClassPixels(0, 1, 0)}
    assert (found[0].iou, found[0].recall, found[0].precision) == (50, 50, 100)
    assert found[1].iou == pytest.approx(100 / 3)
    assert (found[2].iou, found[2].recall, found[2].precision) == (0, None, 0)


def test_the_mean_is_that_of_the_evaluation():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 5, (2, 20, 30), dtype=np.uint8)
    truth[truth == 4] = VOID  # class 4 is predicted only
    matrix = ConfusionMatrix(5)
    matrix.update(prediction, truth)
    found = count_pixels(prediction, truth, 5)
    assert mean_iou(found, {1, 3, 4}) == pytest.approx(matrix.scores((1, 3, 4)).novel)
    assert mean_iou(found, {4}) is None


def test_under_and_over_expanded():
    truth = maps([0] * 4 + [1] * 4)
    assert expansions(count_pixels(maps([0] * 7 + [1]), truth, 2), {1}) == {1: {"under-expanded"}}
    assert expansions(count_pixels(maps([1] * 8), truth, 2), {1}) == {}  # half of it is right: not low
    narrow = maps([0] * 7 + [1])
    assert expansions(count_pixels(maps([0] * 5 + [1] * 3), narrow, 2), {1}) == {1: {"over-expanded"}}
    elsewhere = maps([1] * 4 + [0] * 4)
    assert expansions(count_pixels(elsewhere, truth, 2), {1}) == {1: {"under-expanded", "over-expanded"}}
    # Nothing predicted is no over-expansion, and what the truth does not show is no expansion at all.
    assert expansions(count_pixels(maps([0] * 8), truth, 2), {1}) == {1: {"under-expanded"}}
    assert expansions(count_pixels(maps([1] * 8), maps([0] * 8), 2), {1}) == {}


def test_bad_values_are_one_sentence():
    with pytest.raises(DatasetError, match="holds the value 7"):
        count_pixels(maps([7]), maps([0]), 2)
