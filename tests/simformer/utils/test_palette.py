"""Colors: stable, different, and told apart by color-blind people."""

from __future__ import annotations

import string

import numpy as np
import pytest
from color_vision import VISION, seen_as_lab
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from simformer.splits import dataset_classes
from simformer.utils import palette
from simformer.utils.palette import class_colors, hex_colors


@pytest.mark.parametrize("vision", VISION)
def test_msrc_colors_and_roles_are_told_apart(vision):
    colors = class_colors(dataset_classes("msrc21"))
    assert pdist(seen_as_lab(colors, vision)).min() > 10  # about four just noticeable differences
    roles = np.array([palette.BASE_COLOR, palette.NOVEL_COLOR])
    assert pdist(seen_as_lab(roles, vision)).min() > 40


def test_a_name_has_one_color_whatever_stands_beside_it():
    assert (class_colors(["cat", "sky"]) == class_colors(["sky", "cat"])[::-1]).all()
    alone, among = hex_colors(["my own class"]), hex_colors(["cat", "my own class", "sky"])
    assert alone["my own class"] == among["my own class"]
    assert (class_colors(["cat", "cat"])[0] == class_colors(["cat", "cat"])[1]).all()


def test_colors_do_not_drift_between_versions():
    assert hex_colors(["grass", "zebra"]) == {"grass": "#9ac653", "zebra": "#d79452"}


def test_big_class_lists_have_no_color_twice():
    for dataset in ("coco_stuff_10k", "ade20k"):
        assert len(np.unique(class_colors(dataset_classes(dataset)), axis=0)) == len(dataset_classes(dataset))


def test_equal_colors_are_moved_apart(monkeypatch):
    monkeypatch.setattr(palette, "_color", lambda name: 0xFFFFFF)
    assert class_colors(["a", "b", "c"]).tolist() == [[255, 255, 255], [0, 0, 1], [0, 0, 2]]


@given(st.lists(st.text(string.printable, max_size=8), unique=True, max_size=40))
def test_any_names_get_different_colors_and_none_black(names):
    colors = class_colors(names)
    assert colors.shape == (len(names), 3) and colors.dtype == np.uint8
    assert len({tuple(color) for color in colors.tolist()}) == len(names)
    assert not (colors == 0).all(1).any()
    for name, text in hex_colors(names).items():
        assert bytes.fromhex(text[1:]) == colors[names.index(name)].tobytes()
