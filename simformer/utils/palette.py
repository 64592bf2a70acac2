"""One color per class, the same in every picture, table and plot."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Sequence

import numpy as np

BASE_COLOR = (214, 39, 52)
NOVEL_COLOR = (38, 110, 222)

# Found by search: any two differ by at least 12 (CIEDE2000) in normal vision and in simulated protanopia,
# deuteranopia and tritanopia, while grass stays green and sky light blue.
_CHOSEN = {
    "building": "#695166",
    "grass": "#9ac653",
    "tree": "#0f6e50",
    "cow": "#740600",
    "sheep": "#d6f3e2",
    "sky": "#41f4ff",
    "aeroplane": "#1185a5",
    "water": "#0e10f2",
    "face": "#ffe4a4",
    "car": "#b40e3b",
    "bicycle": "#85118e",
    "flower": "#ba4bff",
    "sign": "#e8f82c",
    "bird": "#09b1af",
    "book": "#b89bfa",
    "chair": "#b77e61",
    "road": "#857f80",
    "cat": "#f73000",
    "dog": "#50192c",
    "body": "#f0a79e",
    "boat": "#0a1450",
}


def class_colors(classes: Sequence[str]) -> np.ndarray:
    """A color for every class, told by its name alone: a class looks the same in every data set and model.

    Args:
        classes: K class names. Color-blind people too can tell the 21 classes of MSRC-21 apart; other names
            get a color derived from their letters.

    Returns:
        uint8 RGB, K x 3. Different names have different colors, none of them black: label formats that
        identify a class by its color rely on it.
    """
    colors: dict[str, int] = {}
    for name in classes:
        if name in colors:
            continue
        color = _color(name)
        while color in colors.values():
            color = color % 0xFFFFFF + 1
        colors[name] = color
    packed = np.array([colors[name] for name in classes], dtype=np.uint32).reshape(-1, 1)
    return (packed >> np.array([16, 8, 0], dtype=np.uint32) & 255).astype(np.uint8)


def hex_colors(classes: Sequence[str]) -> dict[str, str]:
    """The colors of `class_colors` as "#rrggbb", by class name."""
    colors = class_colors(classes)
    return {name: "#{:02x}{:02x}{:02x}".format(*color) for name, color in zip(classes, colors, strict=True)}


def _color(name: str) -> int:
    """Color of a name as 0xRRGGBB."""
    if name in _CHOSEN:
        return int(_CHOSEN[name][1:], 16)
    letters = zlib.crc32(name.encode())
    hue, saturation, value = letters >> 16, letters >> 8 & 255, letters & 255
    rgb = colorsys.hsv_to_rgb(hue / 65536, 0.4 + 0.6 * saturation / 255, 0.45 + 0.55 * value / 255)
    red, green, blue = (round(255 * part) for part in rgb)
    return red << 16 | green << 8 | blue
