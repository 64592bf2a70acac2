"""Which of many choices are worth their money."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def efficient_order(costs: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the points that no other dominates, cheapest first; of equal points the first stays."""
    order = np.lexsort((-values, costs))
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], values[order]]))[:-1]
    return order[values[order] > best_before]
