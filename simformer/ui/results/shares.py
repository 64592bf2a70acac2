"""How much mask is enough? The section of the Results tab on trainings that were given part of the masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from simformer.paths import STATIC
from simformer.results import METHOD_ORDER, MaskRow, ResultCell, mask_share_table, to_csv
from simformer.splits import split_label
from simformer.ui.parts.html import download_link, hint, html_table, iou_text
from simformer.ui.results.html import run_id, runs_html
from simformer.ui.results.plots import METHOD_COLORS, OTHER_COLOR, styled

TITLE = "How much mask is enough?"
GROUPS_SHOWN = ("all", "novel")
_DASHES = {"all": "solid", "novel": "dot"}
_SYMBOLS = {"all": "circle", "novel": "circle-open"}
_COARSE = {"all": "triangle-down", "novel": "triangle-down-open"}


def share_rows(cells: Iterable[ResultCell], dataset: str, table: str | None) -> list[MaskRow]:
    """Rows over all and over novel classes of a data set; of one of its tables, if it has that one. By method."""
    rows = [row for row in mask_share_table(cells) if row.dataset == dataset and row.group in GROUPS_SHOWN]
    rows.sort(key=lambda row: METHOD_ORDER.index(row.method) if row.method in METHOD_ORDER else len(METHOD_ORDER))
    of_table = [row for row in rows if row.table == table]
    return of_table or ([] if table in {cell.schedule for cell in cells if cell.dataset == dataset} else rows)


def line_name(row: MaskRow, rows: Sequence[MaskRow]) -> str:
    """What a row's line is called among the others."""
    words = [row.method, *(["masked photos alone"] if row.alone else []), row.group]
    words += [f"split {split_label(row.split)}"] if len({other.split for other in rows}) > 1 else []
    words += [row.table] if len({other.table for other in rows}) > 1 else []
    return ", ".join(words)


def lines(rows: Sequence[MaskRow]) -> list[tuple[str, list[MaskRow]]]:
    """(name, its rows: masks as they are by share, then coarse ones), in the order of the rows."""
    names = [(line_name(row, rows), row) for row in rows]
    return [(name, [row for _, row in members]) for name, members in groupby(names, key=lambda pair: pair[0])]


def shares_figure(rows: Sequence[MaskRow]) -> go.Figure:
    """mIoU over the share of masked photos: a line for each method and group of classes, crosses for coarse masks."""
    figure = go.Figure()
    for name, members in lines(rows):
        color = METHOD_COLORS.get(members[0].method, OTHER_COLOR)
        group = members[0].group
        for coarse in (False, True):
            drawn = [row for row in members if bool(row.corners) == coarse]
            if not drawn:
                continue
            label, symbols = (f"{name}, coarse masks", _COARSE) if coarse else (name, _SYMBOLS)
            figure.add_scatter(
                x=[100 * row.share for row in drawn],
                y=[row.miou for row in drawn],
                name=label,
                mode="markers" if coarse else "lines+markers",
                line={"color": color, "dash": _DASHES[group]},
                marker={
                    "symbol": symbols[group],
                    "size": 12 if coarse else 9,
                    "color": color,
                },
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [row.highest - row.miou for row in drawn],
                    "arrayminus": [row.miou - row.lowest for row in drawn],
                    "visible": any(row.seeds > 1 for row in drawn),
                    "thickness": 1,
                },
                customdata=[_words(row) for row in drawn],
                hovertemplate=f"{label}<br>masks on %{{x:.0f}} % of the photos: %{{y:.1f}} %%{{customdata}}"
                "<extra></extra>",
            )
    shares = sorted({100 * row.share for row in rows})
    styled(figure, x="Photos with masks", y="mIoU in %")
    figure.update_xaxes(tickvals=shares, ticktext=[f"{share:g} %" for share in shares])
    return figure


def _words(row: MaskRow) -> str:
    words = f"<br>polygons of at most {row.corners} corners" if row.corners else ""
    return words + (f"<br>mean of {row.seeds} seeds, {row.lowest:.1f} to {row.highest:.1f}" if row.seeds > 1 else "")


def _masks(row: MaskRow) -> tuple[int, float]:
    return row.corners, row.share


def _masks_text(corners: int, share: float) -> str:
    return f"{100 * share:g} %" + (f", {corners} corners" if corners else "")


def shares_html(rows: Sequence[MaskRow], cells: Iterable[ResultCell]) -> str:
    """The table behind the figure, what it means, and the runs that were given part of the masks."""
    part = {cell.file: cell for cell in cells if cell.masks is not None}
    runs = [part[name] for name in sorted({name for row in rows for name in row.files} & part.keys())]
    named = lines(rows)
    places = [{_masks(row): row for row in members} for _, members in named]
    body = [
        [_masks_text(*masks), *(_number(place.get(masks), part) for place in places)]
        for masks in sorted({_masks(row) for row in rows})
    ]
    head = ["Photos with masks", *(name for name, _ in named)]
    splits = " and ".join(split_label(name) for name in dict.fromkeys(row.split for row in rows))
    about = (
        f"Split {splits}; shares are of the photos that show a class with masks. On the others base classes have image "
        'labels alone, as novel ones have; "masked photos alone" leaves these out. Coarse masks are polygons of few '
        "corners, a stand-in for fast annotation. Where no seeds are named, a number is one training."
    )
    return (
        hint(about)
        + download_link("Download these curves as CSV", "mask_shares.csv", to_csv(rows))
        + html_table("mIoU in % over all and over novel classes", head, body, numbers=range(1, len(head)))
        + runs_html(runs)
    )


def _number(row: MaskRow | None, listed: Iterable[str | None]) -> str:
    """A number; a link where its run is listed below."""
    if row is None:
        return "–"
    several = f'<span class="seeds">{row.seeds} seeds</span>' if row.seeds > 1 else ""
    number = iou_text(row.miou)
    return several + (f'<a href="#{run_id(row.files[0])}">{number}</a>' if row.files[0] in listed else number)


def build() -> list[Any]:
    """The section's parts, in the context that is open: heading, plot, table. What fills them is `update`."""
    heading = gr.HTML(f"<h2>{TITLE}</h2>", visible=False, elem_id="results-shares-heading")
    plot = gr.Plot(show_label=False, container=False, visible=False, elem_id="results-shares-plot", elem_classes="plot")
    script = (STATIC / "numbers.js").read_text(encoding="utf-8")
    table = gr.HTML(visible=False, elem_id="results-shares", js_on_load=script)
    return [heading, plot, table]


def update(cells: Sequence[ResultCell], dataset: str, table: str | None) -> tuple[Any, Any, Any]:
    """What the parts of the section hold; they are hidden where no training had part of the masks."""
    rows = share_rows(cells, dataset, table)
    if not rows:
        return gr.HTML(visible=False), gr.Plot(None, visible=False), gr.HTML("", visible=False)
    html = shares_html(rows, cells)
    return gr.HTML(visible=True), gr.Plot(shares_figure(rows), visible=True), gr.HTML(html, visible=True)
