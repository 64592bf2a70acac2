"""Label maps as 8-bit palette PNGs: pixel value = class index, 255 where nothing is labelled or sure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simformer.errors import DatasetError
from simformer.utils.palette import class_colors
from simformer.utils.spans import row_strips

VOID = 255
"""Label of a pixel that belongs to no class, or whose class is not known."""

VOID_COLOR = (224, 224, 224)


def palette_image(labels: NDArray[np.uint8], classes: Sequence[str]) -> Image.Image:
    """Image of mode "P" whose values are the label map (uint8, H x W); 255 is light gray."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(classes)] = class_colors(classes)
    palette[VOID] = VOID_COLOR
    image = Image.fromarray(labels)
    image.putpalette(palette.tobytes())
    return image


def read_label_png(path: Path) -> NDArray[np.uint8]:
    """The values of an 8-bit gray or palette PNG: uint8, H x W.

    Raises:
        DatasetError: the file is not such a PNG.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            mode = image.mode
            values = _values(image) if mode in ("L", "P") else np.empty((0, 0), np.uint8)
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise DatasetError(f"{path} cannot be read as a PNG label map ({error})") from error
    if mode not in ("L", "P"):
        raise DatasetError(f"{path} is of mode {mode}; a label map is 8-bit gray (L) or palette (P)")
    return values


def _values(image: Image.Image) -> NDArray[np.uint8]:
    values = np.empty((image.height, image.width), np.uint8)
    for rows in row_strips(image.height, image.width):
        values[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
    return values


def value_counts(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels of a label map (uint8, H x W) have each value: int64, 256."""
    counts = np.zeros(VOID + 1, dtype=np.int64)
    for rows in row_strips(*labels.shape):
        counts += np.bincount(labels[rows].ravel(), minlength=VOID + 1)
    return counts
