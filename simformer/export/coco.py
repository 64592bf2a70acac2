"""COCO JSON: one file for all photos; one annotation per connected component, its mask as RLE with its holes.

What readers need, beyond the format's page (cocodataset.org, "Data format"):
- ids begin at 1: CVAT takes category 0 for no category, pycocotools' evaluation annotation 0 for no match;
- `counts` is text: pycocotools gives bytes, which JSON has not;
- `iscrowd` is 0 even though the mask is RLE: readers go by the mask's type, and leave crowds out of
  training;
- `supercategory` is empty: CVAT takes it for a parent label, which its task then would need.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from pycocotools import mask as rle

from simformer.export.annotation import Annotation, distinct
from simformer.export.components import Component, components
from simformer.utils.files import atomic_write


def write(annotations: Iterable[Annotation], classes: Sequence[str], out: Path) -> list[Path]:
    """Write one JSON file; categories are numbered from 1 in class order, photos without a class too."""
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    photos = distinct(annotations, lambda annotation: annotation.file_name)
    for image_id, annotation in enumerate(photos, start=1):
        height, width = annotation.size
        image = {"id": image_id, "file_name": annotation.file_name, "width": width, "height": height}
        images.append(image | ({"coco_url": annotation.url} if annotation.url else {}))
        for component in components(annotation.labels):
            ids = {"id": len(objects) + 1, "image_id": image_id}
            objects.append(ids | _object(component, annotation.size))
    content = {
        "info": {"description": "Masks by SimFormer"},
        "licenses": [],
        "images": images,
        "categories": [
            {"id": number, "name": name, "supercategory": ""} for number, name in enumerate(classes, start=1)
        ],
        "annotations": objects,
    }
    with atomic_write(out) as file:
        file.write(json.dumps(content).encode())
    return [out]


def _object(component: Component, size: tuple[int, int]) -> dict[str, Any]:
    height, width = component.mask.shape
    compressed = cast(Any, rle.frPyObjects)({"size": list(size), "counts": run_lengths(component, size)}, *size)
    return {
        "category_id": component.label + 1,
        "segmentation": {"size": list(size), "counts": compressed["counts"].decode("ascii")},
        "area": component.area,
        "bbox": [component.left, component.top, width, height],
        "iscrowd": 0,
    }


def run_lengths(component: Component, size: tuple[int, int]) -> list[int]:
    """Pixels outside, inside, outside ... the component, going down the columns of a photo of `size` (H, W).

    Only the component's columns are looked at: to encode a large photo anew for each of many is slow.
    """
    photo_height, photo_width = size
    height, width = component.mask.shape
    columns = np.zeros((width, photo_height), dtype=np.int8)
    columns[:, component.top : component.top + height] = component.mask.T
    changes = np.flatnonzero(np.diff(columns.ravel(), prepend=0, append=0)) + component.left * photo_height
    lengths = np.diff(changes, prepend=0, append=photo_height * photo_width).tolist()
    return lengths if lengths[-1] else lengths[:-1]
