"""The rows of the Compare tab as HTML, and what stands above them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from simformer.compare.columns import INPUT, ROLES, TRUTH
from simformer.labels import VOID
from simformer.ui.parts.html import chip, empty, hint, left_out, legend, progress_bar, role_mark, share_text
from simformer.ui.parts.photos import data_uri
from simformer.utils.palette import hex_colors

if TYPE_CHECKING:
    from PIL import Image

    from simformer.compare.background import Progress
    from simformer.compare.gallery import Cell, Row, View
    from simformer.compare.regions import Box

SIDE = 384
"""Long side in pixels of the pictures: twice their usual width, for sharp displays."""

NAMED_IN_TEXT = 4


def summary_html(view: View, shown: int, listed: int) -> str:
    """How many photos are shown and what their numbers mean."""
    from simformer.compare.figure import caption

    if not shown:
        return empty(
            f"None of the {listed} photos passes the filter so far."
            if listed
            else "No photo shows one of these classes."
        )
    count = "1 photo" if shown == 1 else f"{shown} photos"
    return hint(escape(f"{count}. {caption(view)}"))


def progress_html(progress: Progress) -> str:
    """The bar, in words, and what went wrong; nothing of the bar once all is made."""
    bar = ""
    if not progress.finished:
        words = f"{progress.done} of {progress.total} predictions made"
        bar = progress_bar("Predictions made", progress.done, progress.total, words, progress.seconds_left)
    return bar + left_out(progress.problems)


def row_html(view: View, row: Row, coming: bool = True) -> str:
    """A photo: its name and who leads, pictures, the classes in it. coming: whether what is missing is being made."""
    from simformer.compare.pictures import best_columns, classes_in, row_pictures

    name = escape(row.name)
    coming = coming and not row.problem
    waiting = coming and any(cell.labels is None for cell in row.cells.values())
    head = (
        f'<header><label><input type="checkbox" data-choose> <strong>{name}</strong></label>'
        f"<span>{escape(lead_text(view, row))}</span>"
        f'<button type="button" data-enlarge aria-label="Enlarge {name}">Enlarge</button></header>'
    )
    start = f'<article class="compare-row" data-index="{row.index}"{" data-waiting" if waiting else ""}>{head}'
    if row.image is None:
        return f"{start}{hint(escape(row.problem))}</article>"
    best = best_columns(view, row)
    pictures = row_pictures(view, row, SIDE)
    height, width = row.image.shape[1:]
    figures = "".join(
        _figure(view, row, title, picture, title in best, coming)
        for title, picture in pictures.items()
        if picture is not None or title in row.cells
    )
    colors = hex_colors(view.split.classes)
    roles = view.split.roles
    names = [(view.split.classes[index], roles[index]) for index in classes_in(view, [row])]
    classes = legend(f"Classes in {row.name}", (chip(each, colors[each], role_mark(role)) for each, role in names))
    problem = hint(escape(row.problem)) if row.problem else ""
    return (
        f'{start}{problem}<div class="compare-cells" style="--count:{figures.count("<figure")};'
        f'--ratio:{width / height:.4f}">{figures}</div>{classes}</article>'
    )


def lead_text(view: View, row: Row) -> str:
    """Which of the two columns that are compared leads, and by how many points; empty if that is not known."""
    if row.lead is None or view.first is None or view.second is None:
        return ""
    ahead, behind = (view.first, view.second) if row.lead >= 0 else (view.second, view.first)
    if f"{abs(row.lead):.1f}" == "0.0":
        return f"{ahead.name} and {behind.name} are equal"
    return f"{ahead.name} leads {behind.name} by {abs(row.lead):.1f} points"


def expansion_text(view: View, cell: Cell) -> str:
    """ "dog under-expanded, cat under- and over-expanded"; empty if nothing is."""
    return ", ".join(
        f"{view.split.classes[index]} {'under- and over-expanded' if len(found) == 2 else next(iter(found))}"
        for index, found in sorted(cell.expansion.items())
    )


def _figure(view: View, row: Row, title: str, picture: Image.Image | None, best: bool, coming: bool) -> str:
    cell = row.cells.get(title)
    number, below = "", ""
    if cell is not None and cell.iou is not None:
        number = f'<span class="{"iou best" if best else "iou"}"><abbr title="IoU, %">{cell.iou:.1f}</abbr></span>'
        below = escape(expansion_text(view, cell))
    if picture is None:
        inside = "<span>on its way …</span>" if coming else "<span>–</span>"
    else:
        kind = "JPEG" if title == INPUT else "PNG"
        options = {"quality": 88} if kind == "JPEG" else {}
        labels = {INPUT: None, TRUTH: row.truth, ROLES: None}.get(title, cell and cell.labels)
        text = f"{title}: {_classes_text(view, labels)}" if labels is not None else title
        inside = f'<img src="{data_uri(picture, kind, **options)}" alt="{escape(text)}" loading="lazy">'
        inside += "".join(map(_box, row.boxes))
    pair = {column.name for column in (view.first, view.second) if column}
    return (
        f"<figure{' class=pair' if title in pair else ''}><figcaption><span>{escape(title)}</span>{number}</figcaption>"
        f'<div class="compare-picture">{inside}</div>{f"<small>{below}</small>" if below else ""}</figure>'
    )


def _box(box: Box) -> str:
    places = {"left": box.left, "top": box.top, "width": box.right - box.left, "height": box.bottom - box.top}
    return f'<i style="{";".join(f"{side}:{100 * value:.1f}%" for side, value in places.items())}"></i>'


def _classes_text(view: View, labels: np.ndarray) -> str:
    counts = np.bincount(labels.ravel(), minlength=VOID)[: len(view.split.classes)]
    largest = [index for index in np.argsort(-counts, kind="stable").tolist() if counts[index]][:NAMED_IN_TEXT]
    shares = {view.split.classes[index]: float(counts[index]) / labels.size for index in largest}
    return ", ".join(f"{name} {share_text(share)}" for name, share in shares.items())
