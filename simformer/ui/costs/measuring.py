"""Measure it: the plan's roles trained in the background on one's own machine, where nobody else reaches the page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from simformer.costs.evidence import default_expectation, expectation_choices
from simformer.costs.plan import Plan
from simformer.datasets.folder_files import read_classes
from simformer.errors import SimFormerError
from simformer.paths import ROOT
from simformer.results import result_files
from simformer.trainings.background import Progress, Trainer
from simformer.trainings.own import rotation
from simformer.ui.costs.calculating import measured_cells
from simformer.ui.costs.own import own_rows
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import duration_text, hint, progress_bar
from simformer.ui.parts.inputs import failure
from simformer.ui.parts.models import Models

BEST, PRESENT, ROTATION = "best", "present", "rotation"
LOOK_SECONDS = 5
TIMING_SECONDS = 600
ABOUT = (
    "So far it is an expectation. Here your machine trains the chosen roles on your folder and measures them, "
    "with FullyOracle and CAM once beside them. Results enter the Results tab and the plan above at once, models the "
    "Segment tab when the page is started again. All is saved as it goes: stop whenever you like, go on tomorrow."
)
NEW_MODELS = "New models are ready: the Segment tab has them when you start the page again."


def role_sets(root: Path, plan_of: Callable[..., Plan], which: str, *typed: Any) -> list[list[str]]:
    """Novel classes of the role sets to train.

    Args:
        which: BEST or PRESENT roles of the plan, or ROTATION, in which every class is novel once.

    Raises:
        SimFormerError: there is no best set, the plan is for other classes than the folder's, or an input does not fit.
    """
    classes = read_classes(root)
    if which == ROTATION:
        rows = own_rows(root)
        return rotation([row[0] for row in rows], [row[1] for row in rows])
    plan = plan_of(*typed)
    masked = plan.chosen(best=which == BEST).masked
    if set(plan.inputs.names) != set(classes):
        raise SimFormerError(f"the plan is for other classes than those of {root.resolve().name}")
    return [[name for name in classes if name not in masked]]


def begin(
    root: Path, trainer: Trainer, models: Models, plan_of: Callable[..., Plan], which: str, *typed: Any
) -> tuple[Any, ...]:
    """Start, and show how far it is. Raises gr.Error: one sentence."""
    try:
        trainer.start(read_classes(root), role_sets(root, plan_of, which, *typed))
    except SimFormerError as error:
        raise failure(error) from error
    return show(trainer, models)


def go_on(trainer: Trainer, models: Models) -> tuple[Any, ...]:
    """Go on with what was stopped. Raises gr.Error: one sentence."""
    try:
        trainer.resume()
    except SimFormerError as error:
        raise failure(error) from error
    return show(trainer, models)


def end(trainer: Trainer, models: Models) -> tuple[Any, ...]:
    """Stop, saved."""
    trainer.stop()
    return show(trainer, models)


def show(trainer: Trainer, models: Models) -> tuple[Any, ...]:
    """How far it is (HTML), and the buttons Train, Stop and Go on.

    Args:
        models: those of the page, which takes trained ones up when it starts.
    """
    found = trainer.progress()
    running = found.state == "running"
    new = set(trainer.runs.models()) - {*models.names, *models.left_out, *models.damaged}
    return (
        progress_html(found) + (hint(NEW_MODELS) if new else ""),
        gr.Button(interactive=not running),
        gr.Button(visible=running),
        gr.Button(visible=found.state == "stopped"),
    )


def look(trainer: Trainer, models: Models, folders: Any, seen: int, names: list[list[Any]]) -> tuple[Any, ...]:
    """As `show`; with a result that is new, what it expects mIoU from, too, and how many results there are."""
    count = len(result_files(folders))
    if count == seen:
        return (*show(trainer, models), gr.skip(), gr.skip())
    cells = measured_cells(folders)
    choices = gr.Dropdown(
        choices=expectation_choices(cells), value=default_expectation(cells, [row[0] for row in names])
    )
    return (*show(trainer, models), choices if seen else gr.skip(), count)


def progress_html(found: Progress) -> str:
    """How far the trainings are, in words."""
    count = len(found.trainings)
    if found.state == "none":
        return hint("Nothing was trained on this folder yet.")
    if found.state == "done":
        return hint(f"All {count} trainings are done: the results stand in the Results tab and behind the plan above.")
    what = found.stage or "step"
    words = f"{found.done} of {count} trainings done. {found.current}: {what} {found.step:,} of {found.steps:,}"
    if not found.steps:
        words = f"{found.done} of {count} trainings done. {found.current or 'The last one'} begins"
    if found.state == "stopped":
        return hint(escape(f"Failed. {words}. {found.problem}" if found.problem else f"Stopped. {words}."))
    if found.of_all is not None and count - found.done > 1:
        words += f"; about {duration_text(found.of_all, 'hours')} until all are done"
    return progress_bar("Steps", found.step, found.steps or 1, words, found.seconds_left)


def how_long(root: Path) -> Iterator[str]:
    """What is done, then what a rotation takes on this machine, from a few steps that are taken now."""
    yield hint("A few steps of a training are taken and timed: a minute or so.")
    command = [sys.executable, "-m", "train.tables.rotation", str(root.resolve())]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMING_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        yield hint("A few steps took more than ten minutes on this machine: a rotation would take days.")
        return
    lines = [line for line in (done.stdout if not done.returncode else done.stderr).splitlines() if line.strip()]
    yield hint(escape(f"Every class novel once: {lines[-1]}." if lines and not done.returncode else lines[-1]))


def build(
    context: PageContext,
    plan_of: Callable[..., Plan],
    typed: Sequence[Any],
    expected_from: gr.Dropdown,
    classes: gr.Dataframe,
) -> None:
    """Controls and events, in the context that is open, on a page that may train.

    Args:
        plan_of: makes the plan of the values of `typed`. typed: the inputs of the tab.
        expected_from, classes: what mIoU is expected from, and the table of classes: a new result may say more.
    """
    assert context.data is not None
    root, folders = context.data, context.results_folder
    trainer, models = Trainer(root), context.models
    gr.HTML(f"<h2>Measure it</h2>{hint(ABOUT)}", elem_id="measure-about", elem_classes="step", apply_default_css=False)
    with gr.Row(equal_height=True):
        which = gr.Radio(
            [("The best for the budget", BEST), ("The present roles", PRESENT), ("Every class novel once", ROTATION)],
            value=PRESENT, label="Roles to train", elem_id="measure-which", min_width=300,
        )  # fmt: skip
    with gr.Row():
        train = gr.Button("Train these roles", variant="primary", scale=0, min_width=220, elem_id="measure-train")
        stop = gr.Button("Stop and save", variant="stop", visible=False, scale=0, min_width=220, elem_id="measure-stop")
        resume = gr.Button("Go on", visible=False, scale=0, min_width=220, elem_id="measure-resume")
        ask = gr.Button("How long is a rotation?", scale=0, min_width=280, elem_id="measure-ask")
    progress = gr.HTML(elem_id="measure-progress", apply_default_css=False)
    answer = gr.HTML(elem_id="measure-hours", apply_default_css=False)
    seen = gr.State(0)
    clock = gr.Timer(LOOK_SECONDS)
    outputs = [progress, train, stop, resume]
    listen(train.click, partial(begin, root, trainer, models, plan_of), [which, *typed], outputs)
    listen(stop.click, partial(end, trainer, models), None, outputs, progress="minimal")
    listen(resume.click, partial(go_on, trainer, models), None, outputs)
    listen(ask.click, partial(how_long, root), None, answer, progress="minimal", queue="timing")
    looked = [*outputs, expected_from, seen]
    listen([clock.tick, context.page.load], partial(look, trainer, models, folders), [seen, classes], looked)
