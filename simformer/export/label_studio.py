"""Label Studio: one JSON of tasks with pre-annotations, polygons in percent of the photo's width and height.

The labeling configuration that the tasks need is written beside it, as XML: paste it under Settings >
Labeling Interface > Code. `data.image` is the annotation's `url`, or its file name if it has none; Label
Studio shows the photo only if it can be loaded from there (a web address, or /data/local-files/?d=PATH for
local storage). Polygons have neither holes nor groups: a component with holes comes as several regions (see
polygons.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from simformer.export.annotation import Annotation, distinct
from simformer.export.components import components
from simformer.export.polygons import polygons
from simformer.utils.files import atomic_write
from simformer.utils.palette import hex_colors

# The names in Label Studio's own template for polygons.
CONTROL, IMAGE = "label", "image"


def write(annotations: Iterable[Annotation], classes: Sequence[str], out: Path) -> list[Path]:
    """Write the tasks (`out`, JSON) and the labeling configuration (the same name, .xml)."""
    photos = distinct(annotations, lambda annotation: annotation.file_name)
    tasks = [_task(annotation, classes) for annotation in photos]
    config = out.with_suffix(".xml")
    with atomic_write(config) as file:
        file.write(labeling_config(classes).encode())
    with atomic_write(out) as file:
        file.write(json.dumps(tasks).encode())
    return [out, config]


def labeling_config(classes: Sequence[str]) -> str:
    """The XML of a labeling interface with one polygon label per class, in the class's color."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=IMAGE, value="$image", zoom="true")
    labels = ElementTree.SubElement(view, "PolygonLabels", name=CONTROL, toName=IMAGE, strokeWidth="2")
    for name, color in hex_colors(classes).items():
        ElementTree.SubElement(labels, "Label", value=name, background=color)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _task(annotation: Annotation, classes: Sequence[str]) -> dict[str, Any]:
    height, width = annotation.size
    outlines = (
        (classes[component.label], outline)
        for component in components(annotation.labels)
        for outline in polygons(component, annotation.size)
    )
    result = [
        {
            "id": f"region{number}",
            "from_name": CONTROL,
            "to_name": IMAGE,
            "type": "polygonlabels",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                # 6 decimals of a percent are a thousandth of a pixel in a photo 100,000 pixels wide.
                "points": (outline * (100 / width, 100 / height)).round(6).tolist(),
                "closed": True,
                "polygonlabels": [name],
            },
        }
        for number, (name, outline) in enumerate(outlines, start=1)
    ]
    return {
        "data": {**annotation.details, "image": annotation.url or annotation.file_name},
        "predictions": [{"model_version": "simformer", "result": result}],
    }
