"""What the Annotation cost tab answers to its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from simformer.costs import KINDS
from simformer.costs.evidence import planning_cells
from simformer.costs.plan import Plan, plan_for
from simformer.costs.role_expectation import LEVELS
from simformer.costs.typed import frequencies, read_inputs
from simformer.costs.wishes import read_wishes
from simformer.errors import SimFormerError
from simformer.results import Folders, ResultCell
from simformer.ui.costs.html import best_html, kinds_html, plan_html, scenarios_html, sensitivity_html
from simformer.ui.costs.own import counted_on
from simformer.ui.costs.plots import frontier_figure, sensitivity_figure
from simformer.ui.parts.html import hint
from simformer.ui.parts.inputs import failure

NO_FRONTIER = (
    "The frontier and the best classes for a budget need measured role sets: "
    "results of SimFormer on several splits in <code>assets/results</code>."
)


def measured_cells(folder: Folders) -> list[ResultCell]:
    """All results that can be read, part-masked ones too; which cannot the Results tab says."""
    return planning_cells(folder, report=lambda problem: None)


def typed_plan(
    results_folder: Folders,
    images: float,
    classes: list[list[Any]],
    masked: list[str],
    hourly_rate: float,
    currency: str,
    quality_control: float,
    instances: float,
    budget: float | None,
    expected_from: str,
    wishes: str,
    have: list[str],
    drawn_by: str,
    mask_share: float,
    *seconds: float,
    names: Sequence[str] | None = None,
) -> Plan:
    """The plan for all inputs of the tab, in their order.

    Args:
        classes: rows of the table of classes. masked: classes that get masks at present.
        quality_control: percent of the annotation time.
        budget: None = no budget is set. expected_from: a key of `expectation_choices`. wishes: as `read_wishes`.
        have: classes that have masks already. drawn_by: "hand" or "assistant".
        mask_share: percent of the photos in which masks are drawn.
        seconds: per annotation, in the order of `KINDS`. names: as `frequencies`.

    Raises:
        SimFormerError: the first value that does not fit.
    """
    inputs = read_inputs(
        images,
        frequencies(classes, names),
        dict(zip(KINDS, seconds, strict=True)),
        hourly_rate,
        quality_control,
        instances,
        currency,
        have=have,
        drawn_by=drawn_by,
        mask_share=mask_share / 100,
    )
    return plan_for(
        inputs,
        measured_cells(results_folder),
        masked=masked,
        expected_from=expected_from,
        budget=budget,
        wishes=read_wishes(wishes),
    )


def calculate(
    results_folder: Folders, *typed: Any, data: Path | None = None, names: Sequence[str] | None = None
) -> tuple[Any, ...]:
    """All outputs of the tab from all its inputs, which are those of `typed_plan`.

    Args:
        data: the page's own data set, if it has one.
        names: as `frequencies`.

    Returns:
        Scenarios (HTML), frontier (plot), hint in its place, best for the budget (HTML), its classes, sensitivity
        (plot, HTML), kinds (HTML), plan (HTML), and the two buttons on the best classes. While a number is being
        typed, that is as long as one is empty, nothing changes. Where a value does not fit, a sentence on it stands
        in the scenarios' place and all else is empty: no answer to other inputs stays.
    """
    images, _, _, rate, _, control, instances, budget, _, _, _, _, share, *seconds = typed
    if None in (images, rate, control, instances, share, *seconds):
        return (gr.skip(),) * 11
    try:
        plan = typed_plan(results_folder, *typed, names=names)
    except SimFormerError as error:
        nothing = gr.Button(interactive=False)
        said = f'<p class="hint" role="alert"><strong>{escape(failure(error).message)}</strong></p>'
        return said, gr.Plot(None, visible=False), "", "", None, None, "", "", "", nothing, nothing
    unit = plan.inputs.currency
    found = plan.best is not None
    return (
        scenarios_html(plan.scenarios, unit) + _notes(plan),
        gr.Plot(
            frontier_figure(plan.efficient, plan.present, plan.best, unit) if plan.efficient else None,
            visible=bool(plan.efficient),
        ),
        "" if plan.efficient or plan.inputs.share_note else hint(NO_FRONTIER),
        best_html(plan, budget, unit),
        None if plan.best is None else list(plan.best.masked),
        sensitivity_figure(plan.sensitivity, unit),
        sensitivity_html(plan.sensitivity, unit),
        kinds_html(plan.kinds, unit),
        plan_html(plan, unit, counted_on(plan.inputs.classes, data), data.resolve().name if data else "Annotation"),
        gr.Button(interactive=found),
        gr.Button(interactive=found),
    )


def _notes(plan: Plan) -> str:
    """What is known of these classes, and what is not of masks drawn with an assistant."""
    text = hint(escape(LEVELS[plan.evidence])) if plan.evidence else ""
    text += hint(plan.inputs.share_note) if plan.inputs.share_note else ""
    return text + (hint(escape(plan.assistant_note)) if plan.assistant_note else "")
