"""How far to trust the expected mIoU: every measured role set, predicted without it, beside what it measured."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from simformer.costs.backtest import Backtest, backtest
from simformer.costs.evidence import fitted_sets
from simformer.costs.frequency import shipped_frequency
from simformer.costs.preferences import Preference, preferences
from simformer.errors import ConfigError
from simformer.results import Folders
from simformer.ui.costs.calculating import measured_cells
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import hint
from simformer.ui.results.plots import styled

_COLORS = {"all classes": "#0072b2", "novel classes": "#d55e00"}
_LINE = "rgba(128, 128, 128, 0.6)"
ABOUT = (
    "Each point is a role set that was trained, expected from the others without those nested with it; the bar is the "
    "80% interval, on the dotted line expectation and measurement are equal."
)


def trust(results_folder: Folders, expected_from: str) -> tuple[Any, str]:
    """The plot, and what it says in words.

    Args:
        expected_from: a key of `expectation_choices`.
    """
    measured = fitted_sets(measured_cells(results_folder), expected_from)
    if measured is None:
        nothing = "Not tested: only a table in which several role sets of these classes were trained can be."
        return gr.Plot(None, visible=False), hint(nothing)
    try:
        found = backtest(measured)
    except ConfigError as error:
        return gr.Plot(None, visible=False), hint(escape(f"Not tested: {error}."))
    try:
        pairs = preferences(measured, shipped_frequency(measured.dataset))[-1]
    except ConfigError:  # nobody has counted how often these classes occur
        pairs = None
    return gr.Plot(figure(found), visible=True), "".join(hint(escape(line)) for line in (*said(found, pairs), ABOUT))


def said(found: Backtest, pairs: Preference | None) -> list[str]:
    """What a backtest says: how far to trust, and which of two role sets that cost about the same was preferred."""
    lines = [
        f"Of {len(found.rows)} role sets of {found.method}, the mean over all classes is off by {found.all.error:.1f} "
        f"points on average, that over novel classes by {found.novel.error:.1f}{_noise(found)}; "
        f"{found.all.coverage:.0%} and {found.novel.coverage:.0%} lie inside their 80% interval."
    ]
    if pairs is not None and pairs.by_model is not None and pairs.by_count is not None:
        by = pairs.by_count if found.count_alone else pairs.by_model
        lines.append(
            f"Of two that cost about the same, the better one was expected to be better in {by:.0%} of "
            f"{pairs.pairs} pairs."
        )
    return [*lines, found.verdict]


def _noise(found: Backtest) -> str:
    if found.noise_floor is None or found.novel_noise_floor is None:
        return ""
    return f" (two trainings of the same roles: {found.noise_floor:.1f} and {found.novel_noise_floor:.1f})"


def figure(found: Backtest) -> go.Figure:
    """Measured against expected mIoU with the 80 % intervals; on the line expectation and measurement are equal."""
    drawn = go.Figure()
    groups = dict(zip(_COLORS, (found.rows, found.novel_rows), strict=True))
    ends = [value for rows in groups.values() for row in rows for value in (row.low, row.high, row.measured)]
    reach = [min(ends), max(ends)]
    drawn.add_scatter(
        x=reach, y=reach, mode="lines", line={"color": _LINE, "dash": "dot"}, name="as expected", hoverinfo="skip"
    )
    for name, rows in groups.items():
        drawn.add_scatter(
            x=[row.expected for row in rows],
            y=[row.measured for row in rows],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [row.high - row.expected for row in rows],
                "arrayminus": [row.expected - row.low for row in rows],
                "color": _COLORS[name],
                "thickness": 1,
                "width": 0,
            },
            customdata=[[row.name, row.low, row.high] for row in rows],
            name=name,
            mode="markers",
            marker={"size": 9, "color": _COLORS[name]},
            hovertemplate=f"%{{customdata[0]}}, {name}<br>expected %{{x:.1f}} (%{{customdata[1]:.1f}} to "
            "%{customdata[2]:.1f}) %<br>measured %{y:.1f} %<extra></extra>",
        )
    return styled(drawn, x="Expected mIoU in %", y="Measured mIoU in %")


def build(results_folder: Folders, expected_from: gr.Dropdown) -> None:
    """The section, in the context that is open; it is computed where somebody opens it."""
    with gr.Accordion("How far to trust these figures", open=False, elem_id="cost-trust-section") as section:
        text = gr.HTML(elem_id="cost-trust")
        plot = gr.Plot(show_label=False, container=False, elem_id="cost-trust-plot", elem_classes="plot")
    is_open = gr.State(False)

    def shown(key: str, is_open: bool) -> tuple[Any, Any]:
        return trust(results_folder, key) if is_open else (gr.skip(), gr.skip())

    listen(section.collapse, lambda: False, None, is_open)
    opened = listen(section.expand, lambda: True, None, is_open)
    look = partial(listen, progress="minimal")
    look(opened.then, shown, [expected_from, is_open], [plot, text])
    look(expected_from.change, shown, [expected_from, is_open], [plot, text])
