from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from label_maps import SPECIAL, disk, drawn, iou, label_maps, painted, ring
from scipy import ndimage
from skimage.draw import polygon2mask

from simformer.export.components import Component, components
from simformer.export.polygons import polygons, without_holes


def check_outlines(labels: np.ndarray) -> None:
    height, width = labels.shape
    found: dict[int, list[np.ndarray]] = {}
    for component in components(labels):
        found.setdefault(component.label, []).extend(polygons(component, labels.shape))
    assert sorted(found) == [label for label in np.unique(labels) if label != 255]
    for label, outlines in found.items():
        for outline in outlines:
            assert outline.ndim == 2 and outline.shape[0] >= 3 and outline.shape[1] == 2
            assert (outline > 0).all() and (outline < (width, height)).all()
            assert not np.array_equal(outline[0], outline[-1])
        assert iou(painted([outline.tolist() for outline in outlines], labels.shape), labels == label) >= 0.95
        by_middle = [polygon2mask(labels.shape, outline[:, ::-1] - 0.5) for outline in outlines]
        assert iou(np.any(by_middle, axis=0), labels == label) >= 0.95


@settings(max_examples=100, deadline=None)
@given(label_maps)
def test_both_ways_to_paint_give_the_class_back(labels):
    check_outlines(labels)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases(name):
    check_outlines(SPECIAL[name])


def test_small_regions_are_exact():
    """Regions of a few pixels do not lose a single one, whichever way they are painted."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        labels = rng.choice(np.array([0, 255], dtype=np.uint8), size=(9, 9))
        outlines = [outline for component in components(labels) for outline in polygons(component, (9, 9))]
        assert np.array_equal(painted([outline.tolist() for outline in outlines], (9, 9)), labels == 0)
        by_middle = [polygon2mask((9, 9), outline[:, ::-1] - 0.5) for outline in outlines]
        assert np.array_equal(np.any(by_middle, axis=0), labels == 0)


def test_pixel_is_a_diamond_around_its_middle():
    [component] = components(drawn(".... ..1."))
    [outline] = polygons(component, (2, 4))
    assert sorted(map(tuple, outline.tolist())) == [(2.1, 1.5), (2.5, 1.1), (2.5, 1.9), (2.9, 1.5)]


def test_square_has_a_point_at_both_ends_of_each_side():
    [component] = components(np.zeros((20, 30), dtype=np.uint8))
    [outline] = polygons(component, (20, 30))
    assert {tuple(point) for point in outline.tolist()} <= {
        (x, y) for x in (0.1, 0.5, 29.5, 29.9) for y in (0.1, 0.5, 19.5, 19.9)
    }
    assert 4 <= len(outline) <= 8


def test_curves_have_far_fewer_corners_than_border_pixels():
    labels = disk(300)
    [component] = components(labels)
    [outline] = polygons(component, labels.shape)
    assert len(outline) < 80  # the border has 1,200 pixel sides
    assert iou(painted([outline.tolist()], labels.shape), labels == 1) > 0.98


def test_larger_photos_get_coarser_outlines():
    [component] = components(disk(300))
    assert len(polygons(component, (4000, 6000))[0]) < len(polygons(component, (300, 300))[0])


def test_no_piece_has_a_hole_and_the_pieces_are_the_region():
    for labels in (ring(31, 8), SPECIAL["holes in a row"], SPECIAL["rings in rings"]):
        for component in components(labels):
            count = np.zeros(component.mask.shape, dtype=int)
            for top, left, piece in without_holes(component.mask):
                assert ndimage.label(piece)[1] == 1
                assert np.array_equal(
                    ndimage.binary_fill_holes(piece, structure=np.ones((3, 3))), piece
                )  # filled from outside through corners, as 4-connected regions ask for
                count[top : top + piece.shape[0], left : left + piece.shape[1]] += piece
            assert np.array_equal(count, component.mask)


def test_a_ring_is_cut_once_through_its_hole():
    [component] = components(ring(31, 8))
    pieces = list(without_holes(component.mask))
    assert len(pieces) == 2
    assert sorted(piece.shape for *_, piece in pieces) == [(15, 31), (16, 31)]


def test_regions_without_holes_are_not_cut():
    mask = SPECIAL["spiral"] == 0
    assert [(top, left) for top, left, _ in without_holes(mask)] == [(0, 0)]
    assert len(polygons(Component(0, 0, 0, mask), mask.shape)) == 1
