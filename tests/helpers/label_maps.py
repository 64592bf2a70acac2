"""Label maps for the exporters' tests, and how polygons are painted: by PIL, as labelme does."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw
from scipy import ndimage

CLASSES = ("sky", "traffic light", "Bäume & <Gräser>")

sides = st.integers(1, 12)
values = st.sampled_from([0, 1, 2, 255])


@st.composite
def _noise(draw):
    return draw(arrays.arrays(np.uint8, (draw(sides), draw(sides)), elements=values))


@st.composite
def _blocks(draw):
    small = draw(arrays.arrays(np.uint8, (draw(st.integers(1, 8)), draw(st.integers(1, 8))), elements=values))
    return np.kron(small, np.ones((draw(st.integers(1, 6)), draw(st.integers(1, 6))), dtype=np.uint8))


@st.composite
def _blobs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    fields = [ndimage.gaussian_filter(rng.standard_normal(size), draw(st.floats(0.8, 6))) for _ in range(4)]
    return np.array([0, 1, 2, 255], dtype=np.uint8)[np.argmax(fields, axis=0)]


label_maps = st.one_of(_noise(), _blocks(), _blobs())


def drawn(text: str) -> np.ndarray:
    """A label map from rows of digits; "." is 255."""
    rows = [[255 if mark == "." else int(mark) for mark in row] for row in text.split()]
    return np.array(rows, dtype=np.uint8)


def ring(size: int, width: int) -> np.ndarray:
    labels = np.zeros((size, size), dtype=np.uint8)
    labels[width:-width, width:-width] = 255
    return labels


def disk(size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.where(np.hypot(y, x) < size / 2 - 1, 1, 255).astype(np.uint8)


SPECIAL = {
    "one pixel": drawn("0"),
    "one unsure pixel": drawn("."),
    "lone pixel": drawn(".... ..1. ...."),
    "lone pixels in the corners": drawn("0..0 .... 0..0"),
    "one row": drawn("00.1.2220"),
    "one column": drawn("0 0 . 1 . 2 2 2 0"),
    "all unsure": np.full((9, 7), 255, dtype=np.uint8),
    "all one class": np.zeros((9, 7), dtype=np.uint8),
    "hole of one pixel": drawn("000 0.0 000"),
    "hole of another class": drawn("0000 0110 0120 0000"),
    "holes in a row": drawn("0000000 0.0.0.0 0000000"),
    "hole that touches another at a corner": drawn("00000 0.000 00.00 00000"),
    "hole that touches the outside at a corner": drawn("0000 0.00 000."),
    "rings in rings": drawn(
        "000000000 0.......0 0.00000.0 0.0...0.0 0.0.0.0.0 0.0...0.0 0.00000.0 0.......0 000000000"
    ),
    "corners touch": drawn("01 10"),
    "checkerboard": (np.indices((11, 13)).sum(0) % 2).astype(np.uint8),
    "comb": drawn("0.0.0.0 0.0.0.0 0000000"),
    "spiral": drawn("0000000 ......0 00000.0 0...0.0 0.0.0.0 0.000.0 0.....0 0000000"),
    "diagonal": np.where(np.eye(12, dtype=bool), 0, 255).astype(np.uint8),
    "thin ring": ring(30, 1),
    "thick ring": ring(31, 8),
    "disk": disk(60),
}


def painted(polygons: list[list[tuple[float, float]]], size: tuple[int, int]) -> np.ndarray:
    """bool, H x W: the pixels of all polygons, corners (x, y) in pixels."""
    image = Image.new("1", size[::-1])
    for polygon in polygons:
        ImageDraw.Draw(image).polygon([tuple(point) for point in polygon], outline=1, fill=1)
    return np.array(image)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)
