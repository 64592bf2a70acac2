"""Outlines of components, for formats whose polygons cannot have holes.

A component with holes is cut through each hole until no piece has one. The other way, a seam of zero width
from the outline to the hole, keeps one polygon per component, but such a polygon touches itself: geometry
libraries call it invalid, and in a drawing tool the first moved corner opens the seam. Pieces are plain
polygons everywhere.

Coordinates are pixels, x to the right and y down; the photo covers 0 to W and 0 to H, so that the middle of
its first pixel is (0.5, 0.5). Outlines run 0.4 pixels away from the middle of their outermost pixels
instead of along those pixels' edges: tools that ask whether a pixel's middle is inside (scikit-image) and
tools that cut off the fraction and paint the outline too (PIL, with it labelme) then both paint the same
pixels, even a single one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy  # its parts are imported when they are first used
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from simformer.export.components import Component
from simformer.utils.regions import EIGHT_NEIGHBOURS, number_regions

OUTLINE_DISTANCE = 0.4
# Fewer corners may move the outline by this share of the component's area / border, which for a square is a
# quarter of its side and for a line half its width: thin components keep every corner.
MOST_MOVED = 0.2
# They may change this share of the pixels that PIL paints.
MOST_CHANGED = 0.03
# Pixels; below it nothing is gained over the exact outline.
LEAST_TOLERANCE = 0.1
DECIMALS = 2
# A polygon of few corners does not follow the steps of a slanted outline, pixels.
STEPS_OF_PIXELS = 1.0


def polygons(component: Component, size: tuple[int, int]) -> list[NDArray[np.float64]]:
    """Outlines that together cover a component; more than one only if it has holes.

    Args:
        component: a 4-connected region.
        size: (H, W) of the photo, pixels. The outline has fewer corners than border pixels: it moves by at
            most 1 pixel (in photos over 1,000 pixels wide or high a thousandth of that), and by less in small
            and thin components.

    Returns:
        float64 arrays, n x 2 with n >= 3: the corners (x, y) in pixels, the first not repeated at the end.
    """
    tolerance = max(1.0, max(size) / 1000)
    outlines = []
    for top, left, mask in without_holes(component.mask):
        origin = np.array((component.left + left, component.top + top))
        outlines.append(np.round(origin + _outline(mask, tolerance), DECIMALS))
    return outlines


def polygon_of(mask: NDArray[np.bool_], corners: int) -> NDArray[np.float64] | None:
    """A region without holes (bool, h x w, 4- or 8-connected) as one polygon of at most so many corners, at least 3.

    Corners are left out one by one, each time that which changes the area least (Visvalingam and Whyatt, 1993). The
    polygon may differ much from the region.

    Returns:
        float64, n x 2: the corners (x, y) in pixels, the first not repeated; None for a region a pixel or two wide, of
        which no polygon is left.
    """
    from skimage.measure import approximate_polygon

    exact = _without_straight(max(_contours(mask), key=len))
    # The line's first point stays a corner: let it be one.
    farthest = int(np.square(exact - exact.mean(axis=0)).sum(axis=1).argmax())
    closed = np.concatenate((exact[farthest:], exact[: farthest + 1]))
    found = approximate_polygon(closed, STEPS_OF_PIXELS)[:-1]
    while len(found) > corners:
        before, after = found - np.roll(found, 1, axis=0), np.roll(found, -1, axis=0) - found
        found = np.delete(found, np.abs(_turn(before, after)).argmin(), axis=0)
    return found if len(found) >= 3 else None


def without_holes(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Cut a 4-connected region (bool, h x w) into 4-connected pieces without holes.

    Yields (top, left, piece): the piece in its bounding box, which begins at that row and column of `mask`.
    """
    pending = [(0, 0, mask)]
    while pending:
        top, left, region = pending.pop()
        cut = _cut(region)
        if cut is None:
            yield top, left, region
            continue
        axis, position = cut
        for start, half in zip((0, position), np.split(region, [position], axis=axis), strict=True):
            numbered = number_regions(half)
            for number, (rows, columns) in enumerate(scipy.ndimage.find_objects(numbered), start=1):
                y, x = (start, 0) if axis == 0 else (0, start)
                piece = numbered[rows, columns] == number
                pending.append((top + y + rows.start, left + x + columns.start, piece))


def _cut(region: NDArray[np.bool_]) -> tuple[int, int] | None:
    """(axis, position) of a cut through the hole nearest the region's middle, or None without holes."""
    # The complement of 4-connected regions: background that touches at a corner is one background.
    background = number_regions(~np.pad(region, 1), EIGHT_NEIGHBOURS)
    if background.max() == 1:
        return None
    axis = int(np.argmax(region.shape))  # across the longer side, the cut is short
    spans = [
        (slices[axis].start - 1, slices[axis].stop - 1)
        for number, slices in enumerate(scipy.ndimage.find_objects(background), start=1)
        if number != background[0, 0]
    ]
    start, stop = min(spans, key=lambda span: abs(sum(span) - region.shape[axis]))
    return axis, (start + stop) // 2


def _outline(mask: NDArray[np.bool_], tolerance: float) -> NDArray[np.float64]:
    """The (x, y) corners of a 4-connected region without holes, as few as `tolerance` (pixels) allows."""
    from skimage.measure import approximate_polygon

    [closed] = _contours(mask)
    border = len(closed) - 1  # the contour has one point for every pixel side on the border
    tolerance = min(tolerance, MOST_MOVED * np.count_nonzero(mask) / border)
    exact = _without_straight(closed)
    while tolerance > LEAST_TOLERANCE:
        corners = approximate_polygon(np.concatenate((exact, exact[:1])), tolerance)[:-1]
        if len(corners) >= 3 and _painted_iou(corners, mask) >= 1 - MOST_CHANGED:
            return corners
        tolerance /= 2
    return exact


def _contours(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """The closed lines (x, y) around a mask's regions, pixels, first point = last point."""
    # Imported here because it takes a second, which a page that lists the formats would wait for.
    from skimage.measure import find_contours

    # The mask is 1 in the middle of its pixels, 0 in the middle of their neighbours; the contour is between.
    found = find_contours(np.pad(mask, 1).astype(np.float64), level=1 - OUTLINE_DISTANCE)
    return [line[:, ::-1] - 0.5 for line in found]  # -1 for the padding, +0.5: a pixel's middle is at half a pixel


def _without_straight(closed: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of a closed line (first point = last point) without the points on its straight parts."""
    points = closed[:-1]
    before = points - np.roll(points, 1, axis=0)
    after = np.roll(points, -1, axis=0) - points
    return points[np.abs(_turn(before, after)) > 1e-6]


def _turn(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the area of the triangles that two sides span, n x 2 each."""
    return before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]


def _painted_iou(corners: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    canvas = Image.new("1", mask.shape[::-1])
    ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in corners.tolist()], fill=1, outline=1)
    painted = np.asarray(canvas)
    return float(np.count_nonzero(painted & mask) / np.count_nonzero(painted | mask))
