"""The pictures of a row: photo, truth, base/novel map and predictions, in flat colors as in the paper's figures."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image

from simformer.batch.gallery import resize_labels
from simformer.compare.columns import INPUT, ROLES, TRUTH
from simformer.compare.gallery import Row, View
from simformer.compare.predictions import Labels
from simformer.labels import VOID, VOID_COLOR, palette_image
from simformer.utils.images import bounded, load_image
from simformer.utils.palette import BASE_COLOR, NOVEL_COLOR


def row_pictures(view: View, row: Row, side: int) -> dict[str, Image.Image | None]:
    """Title -> picture with at most `side` pixels a side, in the order of the figure; None for what is not there.

    A photo without a label map has neither a truth nor a base/novel map if none has one. What the view leaves out is
    not there.
    """
    pictures = _all_pictures(view, row, side)
    return {title: picture for title, picture in pictures.items() if title not in view.query.left_out}


def _all_pictures(view: View, row: Row, side: int) -> dict[str, Image.Image | None]:
    if row.image is None:
        return dict.fromkeys((INPUT, TRUTH, ROLES, *row.cells))
    size = bounded(row.image.shape[1:], side)
    photo = load_image(row.image)
    pictures: dict[str, Image.Image | None] = {
        INPUT: photo.resize((size[1], size[0]), Image.Resampling.LANCZOS, reducing_gap=3)
    }
    classes = view.split.classes
    truth = None if row.truth is None else resize_labels(row.truth, size)
    pictures[TRUTH] = None if truth is None else palette_image(truth, classes)
    pictures[ROLES] = None if truth is None else role_picture(truth, view.split.novel)
    for name, cell in row.cells.items():
        pictures[name] = None if cell.labels is None else palette_image(resize_labels(cell.labels, size), classes)
    return pictures


def role_picture(labels: Labels, novel: Collection[int]) -> Image.Image:
    """Base classes red, novel ones blue, 255 light gray: a palette image of the label map's own values."""
    palette = np.tile(np.array(BASE_COLOR, dtype=np.uint8), (256, 1))
    palette[list(novel)] = NOVEL_COLOR
    palette[VOID] = VOID_COLOR
    image = Image.fromarray(labels)
    image.putpalette(palette.tobytes())
    return image


def classes_in(view: View, rows: Sequence[Row]) -> list[int]:
    """Classes that the rows show: all of their truths, and what a prediction gives at least one pixel in a hundred."""
    shown = np.zeros(256, dtype=bool)
    for row in rows:
        if row.truth is not None:
            shown |= np.bincount(row.truth.ravel(), minlength=256) > 0
        for cell in row.cells.values():
            if cell.labels is not None:
                shown |= np.bincount(cell.labels.ravel(), minlength=256) >= cell.labels.size / 100
    return np.flatnonzero(shown[: len(view.split.classes)]).tolist()


def weak_columns(view: View) -> set[str]:
    """Names of the columns whose models were not given every mask."""
    return {column.name for column in view.columns if column.card.novel or column.card.kind == "cam"}


def best_columns(view: View, row: Row) -> set[str]:
    """Names of the columns with the highest IoU, as it is printed, among models that were not given every mask."""
    weak = weak_columns(view)
    ious = {name: round(cell.iou, 1) for name, cell in row.cells.items() if name in weak and cell.iou is not None}
    return {name for name, iou in ious.items() if len(ious) > 1 and iou == max(ious.values())}
