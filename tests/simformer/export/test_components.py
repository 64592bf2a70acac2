from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maps import SPECIAL, drawn, label_maps
from scipy import ndimage

from simformer.export.components import components, without_small


@settings(max_examples=80, deadline=None)
@given(label_maps)
def test_components_are_the_label_map_taken_apart(labels):
    rebuilt = np.full_like(labels, 255)
    for component in components(labels):
        height, width = component.mask.shape
        box = rebuilt[component.top : component.top + height, component.left : component.left + width]
        assert component.mask.any(0)[[0, -1]].all() and component.mask.any(1)[[0, -1]].all(), "box is loose"
        assert ndimage.label(component.mask)[1] == 1
        assert component.area == component.mask.sum() > 0
        assert (box[component.mask] == 255).all(), "two components share a pixel"
        box[component.mask] = component.label
    assert np.array_equal(rebuilt, labels)


def test_corners_do_not_connect():
    found = [(component.label, component.top, component.left) for component in components(drawn("01 10"))]
    assert sorted(found) == [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]


def test_classes_come_in_order():
    assert [component.label for component in components(drawn("2010"))] == [0, 0, 1, 2]


def test_all_unsure_has_none():
    assert list(components(SPECIAL["all unsure"])) == []


def test_small_components_become_unsure():
    labels = drawn("0011 0012 1.22")
    assert np.array_equal(without_small(labels, 1), labels)
    assert np.array_equal(without_small(labels, 2), drawn("0011 0012 ..22"))
    assert np.array_equal(without_small(labels, 3), drawn("0011 0012 ..22"))
    assert np.array_equal(without_small(labels, 4), drawn("00.. 00.. ...."))
    assert np.array_equal(without_small(labels, 5), np.full((3, 4), 255))
    assert labels[2, 0] == 1, "the input stays as it was"


@settings(max_examples=50, deadline=None)
@given(label_maps, st.integers(1, 30))
def test_what_is_kept_is_large_and_what_is_dropped_is_small(labels, min_area):
    kept = without_small(labels, min_area)
    assert ((kept == labels) | (kept == 255)).all()
    before = sorted((c.label, c.top, c.left, c.area) for c in components(labels))
    after = sorted((c.label, c.top, c.left, c.area) for c in components(kept))
    assert after == [entry for entry in before if entry[3] >= min_area]


@pytest.mark.parametrize("name", SPECIAL)
def test_an_area_of_one_keeps_everything(name):
    assert np.array_equal(without_small(SPECIAL[name], 1), SPECIAL[name])
