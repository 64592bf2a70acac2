"""labelme JSON: one file for each photo, polygons in pixels.

Put the tree of JSON files over the photos' folder: each names its photo without folders (`imagePath`), and
labelme looks for it beside the JSON. Newer versions refuse a photo of another size, so the label map has to
have the photo's. Polygons cannot have holes: the pieces of a component with holes (see polygons.py) share a
`group_id`, by which labelme's own converters make them one object again. Its `mask` shapes could have
holes, but cannot be edited.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from simformer.export.annotation import Annotation, distinct
from simformer.export.components import components
from simformer.export.polygons import polygons
from simformer.export.tree import open_tree

# A version that has all of the fields below; newer ones read them too and do not compare the number.
VERSION = "5.5.0"


def write(annotations: Iterable[Annotation], classes: Sequence[str], out: Path) -> list[Path]:
    """Write PHOTO.json for every photo, in the photos' folders.

    Args:
        out: a folder, or a .zip that will hold the same tree.
    """
    with open_tree(out) as tree:
        for annotation in distinct(annotations, lambda annotation: annotation.stem):
            tree.add(f"{annotation.stem}.json", json.dumps(_content(annotation, classes), indent=2).encode())
    return tree.paths


def _content(annotation: Annotation, classes: Sequence[str]) -> dict[str, Any]:
    height, width = annotation.size
    return {
        "version": VERSION,
        "flags": {},
        "shapes": _shapes(annotation, classes),
        "imagePath": PurePosixPath(annotation.file_name).name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _shapes(annotation: Annotation, classes: Sequence[str]) -> list[dict[str, Any]]:
    shapes = []
    groups = count(1)
    for component in components(annotation.labels):
        outlines = polygons(component, annotation.size)
        group = next(groups) if len(outlines) > 1 else None
        shapes += [
            {
                "label": classes[component.label],
                "points": outline.tolist(),
                "group_id": group,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for outline in outlines
        ]
    return shapes
