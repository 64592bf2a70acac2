"""Where two predictions differ most: what the dotted rectangles of the paper's figures point at."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import scipy  # its parts are imported when they are first used
from numpy.typing import NDArray

from simformer.labels import VOID
from simformer.utils.regions import EIGHT_NEIGHBOURS, number_regions

MOST_BOXES = 2
# Of the picture's area; anything smaller is not worth a rectangle.
SMALLEST_SHARE = 0.005
# Of the largest region's area: beside a large difference small ones are noise.
SMALLEST_OF_LARGEST = 0.25
# Of the picture's long side: strips up to about twice that wide are borders drawn differently, and would tie regions
# together.
RIM = 1 / 160
MARGIN = 1 / 60
# Of the picture's area: a rectangle around all of it points at nothing.
LARGEST_SHARE = 0.9


class Box(NamedTuple):
    """A rectangle as shares of the picture's width and height, 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two overlap."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def around(self, other: Box) -> Box:
        """The smallest box that holds both."""
        return Box(*map(min, self[:2], other[:2]), *map(max, self[2:], other[2:]))

    @property
    def share(self) -> float:
        """Of the picture's area, 0 to 1."""
        return (self.right - self.left) * (self.bottom - self.top)


def one_is_right(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None,
    classes: Collection[int] | None = None,
) -> NDArray[np.bool_]:
    """Pixels where exactly one of two predictions is right; without a truth, those where they differ.

    Args:
        first, second, truth: uint8, H x W, class index or 255 (unsure, void).
        classes: only pixels that truth or a prediction gives to one of these; None for all.
    """
    if truth is None:
        pixels = first != second
    else:
        pixels = ((first == truth) != (second == truth)) & (truth != VOID)
    if classes is not None:
        wanted = np.isin(np.arange(256), list(classes))
        pixels &= wanted[first] | wanted[second] | (False if truth is None else wanted[truth])
    return pixels


def boxes_around(pixels: NDArray[np.bool_], most: int = MOST_BOXES) -> list[Box]:
    """Boxes around the largest connected regions, largest region first; boxes that overlap become one, and none is
    around nearly the whole picture.

    Args:
        pixels: H x W. most: boxes at most.
    """
    height, width = pixels.shape
    rim = max(1, round(RIM * max(pixels.shape)))
    opened = np.asarray(scipy.ndimage.binary_opening(pixels, EIGHT_NEIGHBOURS, iterations=rim), bool)
    regions = number_regions(opened, EIGHT_NEIGHBOURS)
    if not regions.any():
        return []
    areas = np.bincount(regions.ravel())[1:]
    least = max(SMALLEST_SHARE * pixels.size, SMALLEST_OF_LARGEST * areas.max())
    largest = [index for index in np.argsort(-areas, kind="stable").tolist() if areas[index] >= least]
    slices = scipy.ndimage.find_objects(regions)
    margin = MARGIN * max(pixels.shape)
    boxes: list[Box] = []
    for index in largest[:most]:
        rows, columns = slices[index]
        box = Box(
            max(0.0, (columns.start - margin) / width),
            max(0.0, (rows.start - margin) / height),
            min(1.0, (columns.stop + margin) / width),
            min(1.0, (rows.stop + margin) / height),
        )
        # A merged box may meet one that it did not meet before.
        while met := next((other for other in boxes if other.meets(box)), None):
            boxes.remove(met)
            box = met.around(box)
        boxes.append(box)
    return [box for box in boxes if box.share <= LARGEST_SHARE]
