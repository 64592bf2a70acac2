from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simformer.compare.regions import MARGIN, MOST_BOXES, Box, boxes_around, one_is_right

VOID = 255


def field(*rectangles, size=(100, 160)):
    """True inside of (top, bottom, left, right)."""
    pixels = np.zeros(size, dtype=bool)
    for top, bottom, left, right in rectangles:
        pixels[top:bottom, left:right] = True
    return pixels


def test_exactly_one_is_right():
    truth = np.array([[0, 0, 0, 1, VOID, 1]], dtype=np.uint8)
    first = np.array([[0, 0, 1, 2, 0, 1]], dtype=np.uint8)
    second = np.array([[0, 1, 1, 0, 1, VOID]], dtype=np.uint8)
    assert one_is_right(first, second, truth).tolist() == [[False, True, False, False, False, True]]
    assert one_is_right(first, second, truth, {1}).tolist() == [[False, True, False, False, False, True]]
    assert not one_is_right(first, second, truth, {2}).any()
    # Without a truth: where they differ.
    assert one_is_right(first, second, None).tolist() == [[False, True, False, True, True, True]]


def test_a_base_class_taken_for_another_is_no_difference_of_the_novel_ones():
    truth, first, second = (np.full((4, 4), value, dtype=np.uint8) for value in (0, 0, 1))
    assert one_is_right(first, second, truth).all()
    assert not one_is_right(first, second, truth, {2}).any()


def test_the_largest_regions_with_a_margin():
    boxes = boxes_around(field((10, 30, 10, 40), (60, 95, 90, 150), (40, 43, 70, 73)))
    assert len(boxes) == 2
    margin = MARGIN * 160
    assert boxes[0] == pytest.approx(
        ((90 - margin) / 160, (60 - margin) / 100, (150 + margin) / 160, (95 + margin) / 100)
    )


def test_rims_are_no_regions_and_do_not_tie_regions_together():
    assert boxes_around(field((10, 12, 0, 160))) == []
    tied = field((10, 30, 10, 40), (10, 30, 100, 130), (19, 21, 40, 100))
    assert len(boxes_around(tied)) == 2
    assert boxes_around(field()) == []


def test_small_regions_beside_a_large_one_are_left_out():
    assert len(boxes_around(field((10, 60, 10, 60), (80, 90, 140, 150)))) == 1


def test_boxes_that_overlap_become_one():
    around = field((10, 90, 10, 20), (10, 90, 80, 90), (10, 20, 10, 90))  # a bridge
    inside = field((50, 80, 35, 65))
    [box] = boxes_around(around | inside)
    assert box.left < 10 / 160 and box.right > 90 / 160 and box.bottom > 0.9


@given(st.lists(st.tuples(*[st.integers(0, 99)] * 4), max_size=8))
def test_boxes_never_overlap_and_lie_inside(corners):
    pixels = field(*((min(a, b), max(a, b), min(c, d), max(c, d)) for a, b, c, d in corners))
    boxes = boxes_around(pixels)
    assert len(boxes) <= MOST_BOXES
    for number, box in enumerate(boxes):
        assert 0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1
        assert not any(box.meets(other) for other in boxes[number + 1 :])


def test_around():
    assert Box(0.1, 0.2, 0.3, 0.4).around(Box(0.2, 0.1, 0.25, 0.9)) == Box(0.1, 0.1, 0.3, 0.9)


def test_a_box_around_everything_points_at_nothing():
    assert boxes_around(field((0, 100, 0, 160))) == []
    assert len(boxes_around(field((0, 100, 0, 80)))) == 1
