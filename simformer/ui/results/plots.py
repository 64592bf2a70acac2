"""Figures of the Results tab: pure functions of tidy rows (simformer.results).

A value that was never measured is drawn as missing, not as zero. Every series says whether it was measured by
this project or published in the paper. Backgrounds are transparent; `CSS` gives lettering the page's color.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal

import plotly.graph_objects as go

from simformer.results import METHOD_ORDER, METHODS, ClassRow, MiouRow
from simformer.splits import split_label, split_order
from simformer.utils.palette import BASE_COLOR, NOVEL_COLOR

METHOD_COLORS = {method.name: method.color for method in METHODS}
_SYMBOLS = {method.name: method.symbol for method in METHODS}
OTHER_COLOR = "#994f88"
_POINT_COLORS = ("#9ecae1", "#4292c6", "#08519c", "#08306b")
_TEXT = "#7d8590"
_GRID = "rgba(128, 128, 128, 0.28)"

Series = Literal["method", "points"]


def variant_name(row: MiouRow | ClassRow, alike: Iterable[MiouRow | ClassRow], *, by: Series = "method") -> str:
    """The row's method, with J, label rule or table where the rows `alike` of that method differ in them."""
    alike = list(alike)
    name = row.method
    if row.points is not None and (by == "points" or len({other.points for other in alike}) > 1):
        name += f", J = {row.points}"
    if row.label_rule == "crop":
        name += ", crop labels"
    if len({other.table for other in alike}) > 1:
        name += f", {row.table}"
    return name


def series_names(rows: Sequence[MiouRow], *, by: Series = "method") -> list[str]:
    """The legend entry of every row: its variant and, unless all rows are measured, where its number is from."""
    alike: dict[tuple[str, str], list[MiouRow]] = defaultdict(list)
    for row in rows:
        # The paper repeats a number in several of its tables.
        same = replace(row, table="") if row.origin == "published" else row
        alike[row.method, row.origin].append(same)
    names = [variant_name(row, alike[row.method, row.origin], by=by) for row in rows]
    if all_measured(rows):  # a legend half as long, which counts on a phone
        return names
    return [f"{name} ({row.origin})" for name, row in zip(names, rows, strict=True)]


def all_measured(rows: Sequence[MiouRow]) -> bool:
    """Whether no number is the paper's."""
    return all(row.origin == "measured" for row in rows)


def series(rows: Sequence[MiouRow], by: Series = "method") -> list[tuple[str, list[MiouRow]]]:
    """(legend entry, its rows), in the order of METHOD_ORDER, J, published before measured."""

    def order(pair: tuple[str, MiouRow]) -> tuple:
        row = pair[1]
        method = METHOD_ORDER.index(row.method) if row.method in METHOD_COLORS else len(METHOD_ORDER)
        return (method, row.method, row.points or 0, row.origin != "published", pair[0])

    pairs = sorted(zip(series_names(rows, by=by), rows, strict=True), key=order)
    return [(name, [row for _, row in members]) for name, members in groupby(pairs, key=lambda pair: pair[0])]


def miou_bars(rows: Sequence[MiouRow], *, by: Series = "method") -> go.Figure:
    """Bars of mIoU by split, a color for every method or, by "points", for every J.

    Args:
        rows: of one group of classes. Published numbers are hatched; error bars reach from the lowest to the
            highest seed; a missing cell is a cross at the foot of its place.
    """
    figure = go.Figure()
    points = sorted({row.points for row in rows if row.points is not None})
    splits = sorted({row.split for row in rows}, key=split_order)
    any_missing = False
    for number, (name, members) in enumerate(series(rows, by)):
        first, place = members[0], {row.split: row for row in members}
        color = METHOD_COLORS.get(first.method, OTHER_COLOR)
        if by == "points" and first.points in points:
            color = _POINT_COLORS[min(points.index(first.points), len(_POINT_COLORS) - 1)]
        values = [place[split].miou if split in place else None for split in splits]
        figure.add_bar(
            x=[split_label(split) for split in splits],
            y=values,
            name=name,
            offsetgroup=str(number),
            marker={
                "color": color,
                "line": {"color": _TEXT, "width": 0.5},
                "pattern": {
                    "shape": "/" if first.origin == "published" else "",
                    "fillmode": "overlay",
                    "fgcolor": "white",
                },
            },
            error_y=_seed_range([place.get(split) for split in splits]),
            text=[None if value is None else f"{value:.1f}" for value in values] if len(rows) <= 16 else None,
            textposition="outside",
            cliponaxis=False,
            customdata=[_seeds(place.get(split)) for split in splits],
            hovertemplate=f"{name}<br>split %{{x}}: %{{y:.1f}} %%{{customdata}}<extra></extra>",
        )
        missing = [split for split in splits if split in place and place[split].miou is None]
        if missing:
            figure.add_scatter(**_missing_marks(name, missing, str(number), legend=not any_missing))
            any_missing = True
    figure.update_layout(
        barmode="group",
        scattermode="group",
        bargap=0.2,
        # The marks of missing cells stand on an axis of their own: on that of the bars they would say zero.
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    )
    _categories(figure, [split_label(split) for split in splits])
    return styled(figure, x="Split", y="mIoU in %")


def novel_share_lines(rows: Sequence[MiouRow]) -> go.Figure:
    """Lines of mIoU over the share of novel classes; a missing cell interrupts its line.

    A series without any number is not drawn.

    Args:
        rows: of one group of classes on splits of one data set. Published: dashed, measured: solid.
    """
    figure = go.Figure()
    shares = {row.split: 100 * row.novel_share for row in rows}
    splits = sorted(shares, key=lambda name: (shares[name], split_order(name)))
    for name, members in series(rows):
        if all(row.miou is None for row in members):
            continue
        first, place = members[0], {row.split: row for row in members}
        drawn = [place.get(split) for split in splits]
        figure.add_scatter(
            x=[100 * row.novel_share if row else shares[split] for split, row in zip(splits, drawn, strict=True)],
            y=[row.miou if row else None for row in drawn],
            name=name,
            mode="lines+markers",
            connectgaps=False,
            line={
                "color": METHOD_COLORS.get(first.method, OTHER_COLOR),
                "dash": "dash" if first.origin == "published" else "solid",
            },
            marker={"symbol": _SYMBOLS.get(first.method, "pentagon"), "size": 10},
            error_y=_seed_range(drawn),
            customdata=[[split_label(split), _seeds(row)] for split, row in zip(splits, drawn, strict=True)],
            hovertemplate=f"{name}<br>split %{{customdata[0]}}, %{{x:.0f}} % novel: %{{y:.1f}} %%{{customdata[1]}}"
            "<extra></extra>",
        )
    ticks = {share: [split_label(split) for split in splits if shares[split] == share] for share in shares.values()}
    figure.update_xaxes(
        tickvals=list(ticks), ticktext=[f"{share:.0f} %<br>split {', '.join(names)}" for share, names in ticks.items()]
    )
    return styled(figure, x="Share of classes that are novel", y="mIoU in %")


def class_heat_map(rows: Sequence[ClassRow]) -> go.Figure:
    """IoU of every class (down) on every split (across): red where the class is base, blue where it is novel.

    Each cell holds the IoU in percent and B or N for the role; the darker, the higher. Missing cells are empty
    but for a dash.

    Args:
        rows: of one method, one J and one table.
    """
    splits = sorted({row.split for row in rows}, key=split_order)
    classes = list(dict.fromkeys(row.class_name for row in rows))
    cell = {(row.class_name, row.split): row for row in rows}
    labels = [split_label(split) for split in splits]
    figure = go.Figure()
    for role, (red, green, blue) in (("base", BASE_COLOR), ("novel", NOVEL_COLOR)):
        drawn = [[_with_role(cell.get((name, split)), role) for split in splits] for name in classes]
        figure.add_heatmap(
            x=labels,
            y=classes,
            z=[[row.iou if row else None for row in line] for line in drawn],
            text=[[f"{row.iou:.0f} {role[0].upper()}" if row else "" for row in line] for line in drawn],
            texttemplate="%{text}",
            zmin=0,
            zmax=100,
            xgap=2,
            ygap=2,
            # Light enough at 100 % for black lettering.
            colorscale=[[0, _mixed((red, green, blue), 0.05)], [1, _mixed((red, green, blue), 0.7)]],
            textfont={"color": "#111111"},
            showscale=False,
            hoverongaps=False,
            hovertemplate=f"%{{y}}, split %{{x}}, {role}: %{{z:.1f}} %<extra></extra>",
        )
        figure.add_scatter(**_swatch(f"{role} ({role[0].upper()})", f"rgb({red}, {green}, {blue})"))
    missing = [row for row in rows if row.iou is None]
    if missing:
        figure.add_scatter(
            x=[split_label(row.split) for row in missing],
            y=[row.class_name for row in missing],
            mode="markers",
            marker={"symbol": "line-ew", "size": 7, "line": {"width": 1.5, "color": _TEXT}},
            name="missing",
            hovertemplate="%{y}, split %{x}: missing<extra></extra>",
        )
    _categories(figure, labels)
    styled(figure, x="Split", y=None)
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=classes,
        range=[len(classes) - 0.5, -0.5],
        dtick=1,
        showgrid=False,
    )
    figure.update_xaxes(side="top", range=[-0.5, len(labels) - 0.5])
    figure.update_layout(legend={"y": 0, "yanchor": "top"})
    return figure


# --------------------------------------------------------------------------------------------- style


def styled(figure: go.Figure, *, x: str | None, y: str | None) -> go.Figure:
    """The look that all figures share; the axes are fixed, so that a finger scrolls the page."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"family": "system-ui, sans-serif", "size": 12, "color": _TEXT},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        # Axes are fixed: there is nothing to select. plots.css keeps the other buttons off the legend.
        modebar={"remove": ["select2d", "lasso2d"], "bgcolor": "rgba(0, 0, 0, 0)", "color": _TEXT},
        dragmode=False,
        hovermode="closest",
        showlegend=True,
    )
    axis = {
        "gridcolor": _GRID,
        "linecolor": _GRID,
        "zerolinecolor": _GRID,
        "automargin": True,
        "fixedrange": True,
    }
    figure.update_xaxes(title={"text": x, "standoff": 10}, showgrid=False, **axis)
    figure.update_yaxes(title={"text": y, "standoff": 10}, **axis)
    return figure


def _seed_range(rows: Sequence[MiouRow | None]) -> dict[str, Any]:
    """Plotly's error bars from the lowest to the highest seed; hidden where no row has several."""
    above, below = zip(*(_seed_reach(row) for row in rows), strict=True) if rows else ((), ())
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "visible": any(row is not None and row.seeds > 1 for row in rows),
        "color": _TEXT,
        "thickness": 1,
    }


def _seed_reach(row: MiouRow | None) -> tuple[float, float]:
    """How far above and below the mean the seeds reach, in percent; 0 where there are not several."""
    if row is None or row.seeds < 2 or row.miou is None or row.lowest is None or row.highest is None:
        return 0.0, 0.0
    return row.highest - row.miou, row.miou - row.lowest


def _seeds(row: MiouRow | None) -> str:
    if row is None or row.seeds < 2:
        return ""
    return f"<br>mean of {row.seeds} seeds, {row.lowest:.1f} to {row.highest:.1f}"


def _missing_marks(name: str, splits: Sequence[str], group: str, *, legend: bool) -> dict[str, Any]:
    return {
        "x": [split_label(split) for split in splits],
        "y": [0.03] * len(splits),
        "yaxis": "y2",
        "offsetgroup": group,
        "mode": "markers",
        "marker": {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": _TEXT}},
        "name": "missing",
        "legendgroup": "missing",
        "showlegend": legend,
        "legendrank": 2000,
        "hovertemplate": f"{name}<br>split %{{x}}: missing<extra></extra>",
    }


def _swatch(name: str, color: str) -> dict[str, Any]:
    """A legend entry without points."""
    return {
        "x": [None],
        "y": [None],
        "mode": "markers",
        "name": name,
        "marker": {"symbol": "square", "size": 12, "color": color},
    }


def _categories(figure: go.Figure, labels: Sequence[str]) -> None:
    # "1", "2" are names, not numbers.
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=list(labels))


def _with_role(row: ClassRow | None, role: str) -> ClassRow | None:
    return row if row and row.role == role and row.iou is not None else None


def _mixed(color: tuple[int, int, int], share: float) -> str:
    """`share` of a color in white."""
    return "rgb({}, {}, {})".format(*(round(255 + (part - 255) * share) for part in color))
