from __future__ import annotations

import numpy as np

from simformer.costs.efficient import efficient_order


def test_points_that_others_dominate_are_left_out():
    costs, values = np.array([3.0, 1.0, 2.0, 2.0, 4.0]), np.array([5.0, 1.0, 6.0, 6.0, 7.0])
    assert efficient_order(costs, values).tolist() == [1, 2, 4]
    assert efficient_order(np.empty(0), np.empty(0)).tolist() == []
