"""The step Decide: what annotating photos like this folder's costs, on the way to the Annotation cost tab."""

from __future__ import annotations

from functools import partial
from html import escape
from pathlib import Path

import gradio as gr

from simformer.costs import ALL_MASKS, LABELS_ONLY
from simformer.costs.evidence import fitting_expectation
from simformer.costs.plan import plan_for
from simformer.costs.typed import frequencies, read_inputs
from simformer.datasets.folder_files import names_to_annotate
from simformer.errors import SimFormerError
from simformer.results import Folders, read_results
from simformer.ui.costs.html import money, scenarios_html
from simformer.ui.costs.own import own_rows, own_splits
from simformer.ui.costs.tab import COSTS_TAB, FIRST_RATE
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import hint

CURRENCY = "USD"


def decide_html(root: Path, results_folder: Folders) -> str:
    """What masks and image labels for as many photos as the folder holds cost, and what mIoU to expect of them."""
    try:
        rows, (listed, which) = own_rows(root), names_to_annotate(root)
        photos = len(listed)
        classes = frequencies(rows)
        inputs = read_inputs(photos, classes, {}, FIRST_RATE, 0, None, CURRENCY)
        cells = read_results(results_folder, report=lambda problem: None)
        names = [found.name for found in classes]
        measured = fitting_expectation(cells, names)
        plan = plan_for(inputs, cells, masked=names, expected_from=measured)
    except SimFormerError as error:
        return hint(f"The classes cannot be counted: {escape(str(error))}. Mend it, then start the page again.")
    ends = [scenario for scenario in plan.scenarios if scenario.name in (ALL_MASKS, LABELS_ONLY)]
    most, least = (scenario.money for scenario in ends)
    text = (
        f"<p>{photos:,} photos ({escape(which)}), at {FIRST_RATE} {CURRENCY} an hour: "
        f"masks for all {len(names)} classes cost {money(most, CURRENCY)}, image labels {money(least, CURRENCY)}. "
        "Weak-shot segmentation lies between: masks for the classes that need them.</p>"
    )
    splits = own_splits(cells, names)
    if splits:
        measured_ones = ", ".join(escape(key.partition("/")[2]) for key in splits)
        text += hint(f"Measured on these classes: {measured_ones}. The plan can start from each of them.")
    if measured is None:
        text += hint("No mIoU is known for these classes yet: train with two choices of novel classes (step 4).")
    return text + scenarios_html(ends, CURRENCY)


def build(context: PageContext) -> None:
    """Put the step into the page, in the context that is open. The context names a data set."""
    assert context.data is not None
    answer = gr.HTML(hint("The classes are being counted."), elem_id="own-decide", apply_default_css=False)
    with gr.Row():
        plan = gr.Button("Plan with these classes", variant="primary", elem_id="own-plan", scale=0, min_width=290)
    listen(context.page.load, partial(decide_html, context.data, context.results_folder), None, answer)
    listen(plan.click, lambda: gr.Tabs(selected=COSTS_TAB), None, context.tabs)
