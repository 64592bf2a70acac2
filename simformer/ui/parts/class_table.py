"""The per-class table: what SimFormer found, and how far CAM agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simformer.ui.parts.html import hint, share_text, swatch
from simformer.utils.palette import hex_colors

if TYPE_CHECKING:
    from simformer.segmentation import Segmentation


@dataclass(frozen=True)
class Row:
    """One class that at least one of two models found.

    Attributes:
        name: class name. role: "base" or "novel".
        area: share of the photo, 0 to 1. score: mean score over the class's pixels, None where there are none.
        agreement: intersection over union of the two models' masks of the class, 0 to 1; None without a second model.
    """

    name: str
    role: str
    area: float
    score: float | None
    agreement: float | None


def class_rows(main: Segmentation, other: Segmentation | None) -> list[Row]:
    """Rows by area in `main`, largest first; then classes that only `other` found, by their area there.

    Args:
        main, other: segmentations of one photo with label maps of one size; their class lists may differ.
    """
    rows = [
        Row(found.name, found.role, found.area, found.score, mask_agreement(main, other, found.name))
        for found in main.table()
    ]
    if other is not None:
        names = {row.name for row in rows}
        roles = dict(zip(other.classes, other.roles, strict=True)) | dict(zip(main.classes, main.roles, strict=True))
        rows += [Row(name, roles[name], 0.0, None, 0.0) for name in class_areas(other) if name not in names]
    return rows


def class_areas(segmentation: Segmentation) -> dict[str, float]:
    """Class name -> share of the photo, 0 to 1, of the classes found; largest first."""
    counts = np.bincount(segmentation.labels.ravel(), minlength=256)[: len(segmentation.classes)]
    found = sorted(np.flatnonzero(counts), key=lambda index: -counts[index])
    return {segmentation.classes[index]: float(counts[index] / segmentation.labels.size) for index in found}


def mask_agreement(main: Segmentation, other: Segmentation | None, name: str) -> float | None:
    """Intersection over union of the class's masks, 0 to 1; None without `other`, or where neither has a pixel."""
    if other is None:
        return None
    ours, theirs = mask(main, name), mask(other, name)
    union = int(np.count_nonzero(ours | theirs))
    return np.count_nonzero(ours & theirs) / union if union else None


def mask(segmentation: Segmentation, name: str) -> NDArray[np.bool_]:
    """Pixels of a class, H x W; none if the model does not know it."""
    if name not in segmentation.classes:
        return np.zeros(segmentation.size, dtype=bool)
    return segmentation.labels == segmentation.classes.index(name)


def table_html(
    rows: Sequence[Row], main_title: str, other_title: str | None, served: Mapping[str, str] | None = None
) -> str:
    """The rows as an HTML table; without rows, a sentence. `served`: class -> the model it came from."""
    if not rows:
        return hint("No class was found: every pixel is left out.")
    colors = hex_colors([row.name for row in rows])
    head = ["Class", "Role", "Area", "Mean score"] + ([f"Agrees with {other_title}"] if other_title else [])
    head += ["Served by"] if served else []
    lines = []
    for row in rows:
        cells = [row.role, share_text(row.area), "–" if row.score is None else f"{row.score:.2f}"]
        if other_title:
            cells.append("–" if row.agreement is None else share_text(row.agreement))
        if served:
            cells.append(escape(served.get(row.name, "–")))
        lines.append(
            f'<tr><th scope="row">{swatch(colors[row.name])}{escape(row.name)}</th>'
            f'<td class="{row.role}">{cells[0]}</td>' + "".join(f"<td>{cell}</td>" for cell in cells[1:]) + "</tr>"
        )
    return (
        f'<table class="classes"><caption>What {escape(main_title)} found</caption><thead><tr>'
        + "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
        + f"</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )
