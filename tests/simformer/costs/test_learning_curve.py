from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_roles import draw_sets, draw_truth

from simformer.costs.learning_curve import learning_curve
from simformer.errors import ConfigError


def drawn(number, **effects):
    rng = np.random.default_rng(0)
    return draw_sets(rng, draw_truth(rng, **effects), number)


def test_more_role_sets_predict_better():
    points = learning_curve(drawn(20), 4)
    assert [point.role_sets for point in points] == [4, 6, 8, 10, 12, 14, 16]
    assert all(0 < point.choices <= 4 for point in points)
    assert points[-1].novel < points[0].novel
    assert points[-1].novel < points[-1].novel_constant
    assert learning_curve(drawn(20), 4) == points


def test_what_is_predicted_tells_the_fit_nothing():
    measured = drawn(8)
    [point] = learning_curve(measured, 1)
    order = np.random.default_rng(0).permutation(8)[:4]
    worse = [replace(one, iou=one.iou / 2) if index in order else one for index, one in enumerate(measured.sets)]
    [other] = learning_curve(replace(measured, sets=tuple(worse)), 1)
    assert other.count_alone == point.count_alone and other.all > point.all


def test_too_few_role_sets_are_one_sentence():
    with pytest.raises(ConfigError, match="has 7 role sets: a learning curve needs 8"):
        learning_curve(drawn(7), 1)
