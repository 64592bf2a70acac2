"""Connected regions of masks."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are imported when they are first used
from numpy.typing import NDArray

from simformer.utils.spans import row_strips

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=np.bool_)
"""Pixels that touch at a corner are connected, too."""


def number_regions(mask: NDArray[np.bool_], structure: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
    """Numbers the connected regions of a mask from 1, row by row; 0 is what is outside it.

    Args:
        mask: bool, H x W.
        structure: which neighbours are connected; None = the four that share a side.

    Returns:
        int32, H x W. `scipy.ndimage.find_objects` gives the regions' bounding boxes in this order.
    """
    numbered = np.zeros(mask.shape, dtype=np.int32)
    scipy.ndimage.label(mask, structure, output=numbered)
    return numbered


def region_areas(numbered: NDArray[np.int32]) -> NDArray[np.int64]:
    """Pixels of the regions 1, 2 and so on (H x W, as `number_regions` gives them)."""
    areas = np.zeros(int(numbered.max(initial=0)) + 1, dtype=np.int64)
    for rows in row_strips(*numbered.shape):  # numpy counts a copy of eight bytes a pixel
        counts = np.bincount(numbered[rows].ravel())
        areas[: len(counts)] += counts
    return areas[1:]
