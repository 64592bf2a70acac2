"""Figures of the Annotation cost tab: pure functions of the planner's answers (simformer.costs)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from simformer.costs import ALL_MASKS, LABELS_ONLY, WEAK_SHOT, Scenario, Sensitivity
from simformer.ui.results.plots import styled

_FRONTIER, _PRESENT, _BEST = "#0072b2", "#d55e00", "#009e73"
_SCENARIO_STYLES = {
    ALL_MASKS: ("#7f7f7f", "diamond", "dot"),
    WEAK_SHOT: (_PRESENT, "circle", "solid"),
    LABELS_ONLY: ("#cc79a7", "x", "dash"),
}


def frontier_figure(
    efficient: Sequence[Scenario], present: Scenario | None, best: Scenario | None, currency: str
) -> go.Figure:
    """Expected mIoU against money: the efficient sets as steps, the present roles and the best for a budget.

    A scenario whose expected mIoU is missing is not drawn.
    """
    figure = go.Figure()
    drawn = [scenario for scenario in efficient if scenario.expected.miou is not None]
    figure.add_scatter(
        x=[scenario.money for scenario in drawn],
        y=[scenario.expected.miou for scenario in drawn],
        customdata=[_masks(scenario) for scenario in drawn],
        name="Best sets of classes to mask",
        mode="lines+markers",
        # Between two sets more money buys nothing: the cheaper one stays the best.
        line={"shape": "hv", "color": _FRONTIER},
        marker={"size": 5, "color": _FRONTIER},
        hovertemplate=f"%{{x:,.0f}} {currency}: %{{y:.1f}} %<br>%{{customdata}}<extra></extra>",
    )
    marks = (("Present roles", present, _PRESENT, "diamond"), ("Best for the budget", best, _BEST, "star"))
    for name, scenario, color, symbol in marks:
        if scenario is not None and scenario.expected.miou is not None:
            figure.add_scatter(
                x=[scenario.money],
                y=[scenario.expected.miou],
                customdata=[_masks(scenario)],
                name=name,
                mode="markers",
                marker={"size": 15, "symbol": symbol, "color": color, "line": {"width": 1, "color": "white"}},
                hovertemplate=f"{name}<br>%{{x:,.0f}} {currency}: %{{y:.1f}} %<br>%{{customdata}}<extra></extra>",
            )
    return styled(figure, x=f"Annotation cost in {currency}", y="Expected mIoU in %")


def sensitivity_figure(rows: Sequence[Sensitivity], currency: str) -> go.Figure:
    """Money of the three scenarios against how much longer or shorter a mask takes than assumed."""
    figure = go.Figure()
    for name, field in ((ALL_MASKS, "all_masks"), (WEAK_SHOT, "weak_shot"), (LABELS_ONLY, "labels_only")):
        color, symbol, dash = _SCENARIO_STYLES[name]
        figure.add_scatter(
            x=[row.mask_seconds for row in rows],
            y=[getattr(row, field) for row in rows],
            name=name,
            mode="lines+markers",
            line={"color": color, "dash": dash},
            marker={"symbol": symbol, "size": 9, "color": color},
            hovertemplate=f"{name}<br>%{{x:g}} s a mask: %{{y:,.0f}} {currency}<extra></extra>",
        )
    figure.update_yaxes(rangemode="tozero")
    return styled(figure, x="Seconds for one mask", y=f"Cost in {currency}")


def _masks(scenario: Scenario) -> str:
    """The masked classes on a few short lines."""
    names = scenario.masked
    if not names:
        return "no masks"
    lines = [", ".join(names[start : start + 4]) for start in range(0, min(len(names), 12), 4)]
    more = f"<br>and {len(names) - 12} more" if len(names) > 12 else ""
    return f"masks for {len(names)}: " + ",<br>".join(lines) + more
