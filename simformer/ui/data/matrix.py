"""Matrices of classes as HTML: which are taken for which, and which occur together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from simformer.batch.gallery import Evaluation
from simformer.batch.score_tables import UNSURE, classes_csv, confusion_csv, photos_csv
from simformer.ui.parts.html import download_link, hint, share_text, swatch
from simformer.utils.palette import hex_colors

MOST = 40
"""Classes of a matrix on the page: more could not be read. The CSV holds them all."""

STRONGEST = 8


def confusion_html(classes: Sequence[str], evaluation: Evaluation) -> str:
    """What the model takes for what, in percent of a class's true pixels; each cell opens the photos behind it."""
    counts = evaluation.matrix.counts
    if not counts.any():
        return hint("Evaluate the photos: which classes are taken for which appears here.")
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / total
    wrong = counts.astype(float)
    np.fill_diagonal(wrong, 0)
    shown = _most_at_stake(counts[:, : len(classes)].sum(axis=1) + counts.sum(axis=0)[: len(classes)], len(classes))
    text = _strongest(classes, wrong, shares)
    left = f" The {len(shown)} most frequent of {len(classes)} classes." if len(shown) < len(classes) else ""
    columns = [*shown, *([len(classes)] if counts[:, -1].any() else [])]
    names = [*classes, UNSURE]

    def told(row: int, column: int) -> str:
        if row == column:
            return f"{names[row]}: {share_text(shares[row, column])} right"
        return (
            f"{names[row]} taken for {names[column]}: {share_text(shares[row, column])}, {counts[row, column]:,} pixels"
        )

    return (
        text
        + hint(
            "Rows: truth. Columns: prediction, in percent of the row's pixels. A click on a cell, or Enter, opens the "
            f"photos behind it; the arrow keys move.{left}"
        )
        + _table("Confusion matrix", names, shown, columns, shares, told, opens=True)
    )


def together_html(classes: Sequence[str], together: NDArray[np.int64]) -> str:
    """Of the photos that show a class, the share that show another one too."""
    if not together.any():
        return ""
    photos = np.diag(together)
    shares = together / np.maximum(photos, 1)[:, None]
    shown = _most_at_stake(photos, len(classes))
    left = f" The {len(shown)} most frequent of {len(classes)} classes." if len(shown) < len(classes) else ""

    def told(row: int, column: int) -> str:
        if row == column:
            return f"{classes[row]}: {photos[row]:,} photos"
        return (
            f"{share_text(shares[row, column])} of the {photos[row]:,} photos with {classes[row]} "
            f"show {classes[column]}"
        )

    return hint(
        "Of the photos that show the row's class, how many percent show the column's, too. A class that is hardly ever "
        f"without another is hard to learn from image labels.{left}"
    ) + _table("Which classes occur together", list(classes), shown, shown, shares, told, opens=False)


def downloads_html(classes: Sequence[str], roles: Sequence[str], names: Sequence[str], evaluation: Evaluation) -> str:
    """Links that save classes, photos and the confusion matrix as CSV; nothing before the first score."""
    if not evaluation.photos:
        return ""
    files = {
        "Classes as CSV": ("classes.csv", classes_csv(classes, roles, evaluation)),
        "Photos as CSV": ("photos.csv", photos_csv(names, evaluation)),
        "Confusion matrix as CSV": ("confusion.csv", confusion_csv(classes, evaluation)),
    }
    return f'<p class="downloads">{" ".join(download_link(label, *file) for label, file in files.items())}</p>'


def _most_at_stake(counts: NDArray[np.int64], number: int) -> list[int]:
    """Indices of the classes to show, in class order: those that are there, of very many the most frequent."""
    present = [index for index in range(number) if counts[index]]
    return sorted(sorted(present, key=lambda index: -counts[index])[:MOST])


def _strongest(classes: Sequence[str], wrong: NDArray[np.float64], shares: NDArray[np.float64]) -> str:
    """The confusions that cost most pixels, each a button."""
    names, colors = [*classes, UNSURE], {**hex_colors(classes), UNSURE: "transparent"}
    places = np.argsort(-wrong, axis=None, kind="stable")[:STRONGEST]
    items = []
    for place in places.tolist():
        row, column = divmod(place, wrong.shape[1])
        if not wrong[row, column]:
            break
        swatches = "".join(
            f"{swatch(colors[names[index]])}{escape(names[index])}{after}"
            for index, after in ((row, " → "), (column, ""))
        )
        share = share_text(float(shares[row, column]))
        items.append(f'<li><button type="button" data-pair="{row},{column}">{swatches} <b>{share}</b></button></li>')
    if not items:
        return hint("Every labelled pixel is right.")
    return f'<strong>What costs most pixels</strong><ul class="confusions">{"".join(items)}</ul>'


def _table(
    caption: str,
    names: Sequence[str],
    rows: Sequence[int],
    columns: Sequence[int],
    shares: NDArray[np.float64],
    told: Callable[[int, int], str],
    *,
    opens: bool,
) -> str:
    """A matrix whose cells are colored by their share; with `opens` they are buttons of a grid."""
    heads = "".join(f'<th scope="col"><span>{escape(names[index])}</span></th>' for index in columns)
    lines = []
    for row in rows:
        cells = []
        for column in columns:
            share = float(shares[row, column])
            text = f"{100 * share:.0f}" if share >= 0.005 else ""
            mark = f'{"class=same " if row == column else ""}style="--share:{share:.3f}"'
            words = escape(told(row, column))
            if opens and share:
                button = f'type="button" tabindex="-1" data-pair="{row},{column}" aria-label="{words}"'
                text = f"<button {button}>{text}</button>"
            cells.append(f'<td {mark} title="{words}">{text}</td>')
        lines.append(f'<tr><th scope="row">{escape(names[row])}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="sideways" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="matrix">'
        f"<caption>{escape(caption)}</caption><thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(lines)}</tbody>"
        "</table></div>"
    )
