"""Connected components of a label map: what annotation tools call objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported when they are first used
from numpy.typing import NDArray

from simformer.labels import VOID
from simformer.utils.regions import number_regions, region_areas


@dataclass(frozen=True)
class Component:
    """A region of one class, connected through the sides of its pixels (4-connected).

    Attributes:
        label: class index.
        top, left: row and column of the region's bounding box in the photo, pixels.
        mask: bool, h x w, the region inside its bounding box.
    """

    label: int
    top: int
    left: int
    mask: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))


def components(labels: NDArray[np.uint8]) -> Iterator[Component]:
    """Connected components of every class in a label map (uint8, H x W; 255 is none), ordered by class.

    Pixels that touch only at a corner belong to different components: import tools draw those as two objects.
    """
    for label in np.unique(labels):
        if label == VOID:
            continue
        numbered = number_regions(labels == label)
        for number, (rows, columns) in enumerate(scipy.ndimage.find_objects(numbered), start=1):
            yield Component(int(label), rows.start, columns.start, numbered[rows, columns] == number)


def without_small(labels: NDArray[np.uint8], min_area: int) -> NDArray[np.uint8]:
    """The label map (uint8, H x W) with every component of fewer than `min_area` pixels turned into 255."""
    kept = labels.copy()
    for label in np.unique(labels):
        if label == VOID:
            continue
        numbered = number_regions(labels == label)
        small = np.append(False, region_areas(numbered) < min_area)  # number 0 is everything else
        kept[small[numbered]] = VOID
    return kept
