"""Colors: stable, different, and told apart by color-blind people."""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from simformer import palette
from simformer.palette import class_colors, hex_colors
from simformer.splits import dataset_classes

# Machado et al. 2009, severity 1, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def seen_as_lab(colors: np.ndarray, vision: str) -> np.ndarray:
    """CIELAB of uint8 sRGB colors as a person with this vision sees them."""
    rgb = colors / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = (linear @ np.transpose(VISION[vision])).clip(0, 1)
    to_xyz = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    xyz = linear @ np.transpose(to_xyz) / [0.9505, 1, 1.0888]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


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
