"""Label maps as 8-bit palette PNGs: pixel value = class index, 255 where nothing is labelled or sure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simformer.errors import DatasetError
from simformer.utils.palette import class_colors

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
            mode, values = image.mode, np.array(image)
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise DatasetError(f"{path} cannot be read as a PNG label map ({error})") from error
    if mode not in ("L", "P"):
        raise DatasetError(f"{path} is of mode {mode}; a label map is 8-bit gray (L) or palette (P)")
    return values
