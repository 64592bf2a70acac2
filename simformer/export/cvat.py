"""CVAT "Segmentation mask 1.1": a zip of Pascal VOC segmentation masks with their label map.

What CVAT's reader (datumaro's voc_segmentation) needs:
- masks are RGB: a one-channel mask would be read as line numbers of labelmap.txt;
- every color in SegmentationClass is declared in labelmap.txt, the black of unsure pixels too. No
  annotation comes from black: pixels that are black in SegmentationObject belong to no object. It is called
  "background" because that is the one label that a CVAT project may lack;
- colors in SegmentationObject come from Pascal VOC's list of 256, so there are at most 255 objects in a
  photo. Where a photo has more components, the smallest of each class are one object together.
In the import dialog leave "Convert masks to polygons" off, or holes become objects of their own.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simformer.errors import SimFormerError, UnknownClassError
from simformer.export.annotation import Annotation, distinct
from simformer.export.components import Component, components
from simformer.export.tree import open_tree
from simformer.labels import VOID
from simformer.utils.palette import class_colors

MAX_OBJECTS = 255


def write(annotations: Iterable[Annotation], classes: Sequence[str], out: Path) -> list[Path]:
    """Write the zip; the names in it are the photos' names, with their folders, without extension."""
    colors = label_colors(classes)
    declared = label_map(classes, colors)
    names = []
    with open_tree(out) as tree:
        for annotation in distinct(annotations, lambda annotation: annotation.stem):
            if annotation.stem.startswith("#"):
                raise SimFormerError(f"{annotation.file_name}: CVAT takes names that begin with # for comments")
            names.append(annotation.stem)
            tree.add(f"SegmentationClass/{annotation.stem}.png", _png(colors[annotation.labels]))
            tree.add(f"SegmentationObject/{annotation.stem}.png", _png(voc_colors()[object_map(annotation)]))
        tree.add("ImageSets/Segmentation/default.txt", "".join(f"{name}\n" for name in names).encode())
        tree.add("labelmap.txt", declared.encode())
    return tree.paths


def label_colors(classes: Sequence[str]) -> NDArray[np.uint8]:
    """256 x 3, the RGB color of each value in a label map; different for every class, black for 255 only."""
    colors = np.zeros((VOID + 1, 3), dtype=np.uint8)
    colors[: len(classes)] = class_colors(classes)
    return colors


def label_map(classes: Sequence[str], colors: NDArray[np.uint8]) -> str:
    """Lines name:r,g,b:: for unsure pixels and every class.

    Raises:
        UnknownClassError: a class name that the format has no way to write.
    """
    for name in classes:
        if ":" in name or name.startswith("#") or name != name.strip() or not name.isprintable():
            raise UnknownClassError(
                f"CVAT's label map cannot hold the class name {name!r}: "
                "no colon, no # at the beginning, no spaces around"
            )
    void_name = next(name for name in ("background", "void", "unsure", "_void_") if name not in classes)
    lines = [(void_name, colors[VOID]), *zip(classes, colors, strict=False)]
    text = "".join(f"{name}:{','.join(str(value) for value in color)}::\n" for name, color in lines)
    return "# label:color_rgb:parts:actions\n" + text


def object_map(annotation: Annotation) -> NDArray[np.uint8]:
    """uint8, H x W: the number of the object that a pixel belongs to, 1 to 255, or 0 where unsure."""
    found = sorted(components(annotation.labels), key=lambda component: -component.area)
    numbers = np.zeros(annotation.size, dtype=np.uint8)
    for component, number in zip(found, _numbers(found), strict=True):
        rows = slice(component.top, component.top + component.mask.shape[0])
        columns = slice(component.left, component.left + component.mask.shape[1])
        numbers[rows, columns][component.mask] = number
    return numbers


def _numbers(found: list[Component]) -> list[int]:
    """An object's number for each component, largest first; those too many share a number for each class."""
    if len(found) <= MAX_OBJECTS:
        return list(range(1, len(found) + 1))
    sizes = Counter(component.label for component in found)
    own = MAX_OBJECTS - len(sizes)
    shared = {label: own + rank for rank, label in enumerate(sizes, start=1)}
    return [*range(1, own + 1), *(shared[component.label] for component in found[own:])]


def voc_colors() -> NDArray[np.uint8]:
    """Pascal VOC's 256 colors (VOC development kit, VOClabelcolormap), 256 x 3 RGB; number 0 is black."""
    numbers = np.arange(256)
    colors = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((numbers >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colors


def _png(colors: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(colors).save(file, format="PNG")
    return file.getvalue()
