"""From plan to work: the photos to draw in, most useful first, drawn in by a model, as files of annotation tools."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from PIL import Image

from simformer.costs.plan import Plan
from simformer.datasets.folder_files import names_to_annotate
from simformer.errors import SimFormerError
from simformer.ui.costs.html import money
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import empty, hint, html_table, left_out, progress_bar
from simformer.ui.parts.inputs import failure
from simformer.ui.parts.models import Models, title
from simformer.ui.parts.photos import data_uri
from simformer.ui.segment.exporting import new_folder

if TYPE_CHECKING:
    from simformer.worklist.work import Row, Worklist

BEST, PRESENT = "best", "present"
AT_HAND, NOBODY = "", "nobody"
CARDS, TABLE_ROWS = 6, 25
CARD_SIDE = 320
PROGRESS_SECONDS = 0.5
ABOUT = (
    "The photos of your folder in which masks of the chosen classes are to be drawn. First come those with classes "
    "of few masks yet, those that the model is unsure of, and those that look unlike the photos before them. The model "
    "has drawn in them already, so that annotators correct instead of beginning with nothing."
)


@dataclass
class Job:
    """A worklist that is being made for somebody, and the plan that it is of."""

    work: Worklist
    plan: Plan
    best: bool
    most: int


def begin(root: Path, models: Models, plan: Plan, which: str, model: str, again: bool) -> tuple[Worklist, bool]:
    """A worklist of the plan, not yet looked at, and whether it is of the best classes.

    Args:
        which: BEST or PRESENT. model: a name, AT_HAND for the best of them, NOBODY.

    Raises:
        SimFormerError: there is no best set of classes, the folder or the model cannot be used.
    """
    from simformer.datasets.folder_files import read_classes
    from simformer.worklist.looking import best_model
    from simformer.worklist.work import Worklist

    best = which == BEST
    chosen = plan.to_draw(plan.chosen(best=best))
    name: str | None = model
    if model == AT_HAND:
        cards = {known: models.predictor(known).card for known in models.names}
        name = best_model(cards, read_classes(root), chosen)
    predictor = None if name in (None, NOBODY) else models.predictor(name)
    return Worklist(root, plan.inputs, chosen, predictor, again=again), best


def make(
    root: Path,
    models: Models,
    plan_of: Callable[..., Plan],
    which: str,
    model: str,
    most: float | None,
    again: bool,
    *typed: Any,
) -> Iterator[tuple[Any, ...]]:
    """Updates of the list (HTML), the file to save, the job (for `finish`) and the buttons, photo by photo.

    Args:
        plan_of: makes the plan of the tab's inputs, which are `typed`. most: photos on the list.

    Raises:
        gr.Error: one sentence.
    """
    hidden = gr.DownloadButton(visible=False)
    try:
        if model != NOBODY and models.names:
            for text in models.waiting(model or models.names[-1]):
                yield hint(escape(text)), hidden, None, *_buttons(running=True)
        plan = plan_of(*typed)
        work, best = begin(root, models, plan, which, model, again)
        job = Job(work, plan, best, int(most or 1))
        started = told = time.perf_counter()
        yield _progress(work, None), hidden, job, *_buttons(running=True)
        for number in work.look():
            now = time.perf_counter()
            if now - told >= PROGRESS_SECONDS:
                told = now
                left = (now - started) / number * (len(work) - number)
                yield _progress(work, left), hidden, job, *_buttons(running=True)
    except SimFormerError as error:
        yield hint(escape(str(error))), hidden, None, *_buttons(running=False)
        raise failure(error) from error
    yield finish(root, job)


def finish(root: Path, job: Job | None) -> tuple[Any, ...]:
    """The same updates at the end, or where it was stopped: of the photos that were looked at."""
    if job is None:
        return gr.skip(), gr.skip(), None, *_buttons(running=False)
    try:
        rows = job.work.rows(job.most)
        file = pack(root, job, rows) if rows else None
    except SimFormerError as error:
        return hint(escape(str(error))), gr.skip(), None, *_buttons(running=False)
    button = gr.DownloadButton(value=file and str(file), visible=file is not None)
    return worklist_html(job.work, rows, job.plan.inputs.currency), button, None, *_buttons(running=False)


def pack(root: Path, job: Job, rows: Sequence[Row]) -> Path:
    """All files of the worklist, and the plan to print, as one zip in a folder that is deleted some minutes later."""
    from simformer.worklist.printed import printed_plan
    from simformer.worklist.write import write_worklist

    folder = new_folder()
    write_worklist(job.work, rows, folder / "worklist")
    page = printed_plan(job.plan, root.resolve().name, names_to_annotate(root)[1], rows, best=job.best)
    (folder / "worklist" / "plan.html").write_text(page, encoding="utf-8")
    file = Path(shutil.make_archive(str(folder / "worklist"), "zip", folder / "worklist"))
    shutil.rmtree(folder / "worklist")
    return file


def worklist_html(work: Worklist, rows: Sequence[Row], currency: str) -> str:
    """What the list is, its first photos with what the model has drawn, and its first rows."""
    said = escape(work.said(len(rows), title(work.segmenter.name) if work.segmenter else ""))
    problems = left_out(work.problems)
    if not rows:
        return hint(said) + problems
    total = sum(row.seconds for row in rows) / 3600
    text = (
        f"<p>{said} <strong>{total:,.1f} hours, {money(rows[-1].money_so_far, currency)}</strong> for these "
        f"{len(rows)}.</p>"
    )
    cards = "".join(_card(work, row, currency) for row in rows[:CARDS])
    table = html_table(
        f"The first {min(len(rows), TABLE_ROWS)} of {len(rows)}" if len(rows) > TABLE_ROWS else "All of them",
        ["Photo", "Draw", "Minutes", "Cost", "Together", "Unsure", "New look"],
        [_line(row, currency) for row in rows[:TABLE_ROWS]],
        numbers=range(2, 7),
    )
    return f'{text}<ul class="cards work">{cards}</ul>{table}{problems}'


def _card(work: Worklist, row: Row, currency: str) -> str:
    from simformer.labels import VOID, palette_image
    from simformer.utils.apart import load_apart

    photo = load_apart(work.photo(row.photo))
    photo.thumbnail((CARD_SIDE, CARD_SIDE), Image.Resampling.BILINEAR)
    labels = Image.fromarray(work.labels(Path(row.photo).stem)).resize(photo.size, Image.Resampling.NEAREST)
    drawn = data_uri(palette_image(np.asarray(labels), work.chosen), "PNG", transparency=VOID)
    name = escape(row.photo)
    words = f"{escape(', '.join(row.draw))} · {row.seconds / 60:.1f} min · {money(row.money, currency)}"
    return (
        f'<li><span class="mini" style="--photo:url({data_uri(photo, "JPEG", quality=85)})"><img src="{drawn}" '
        f'alt="What the model has drawn in {name}"></span><strong>{row.place}. {name}</strong><span>{words}</span></li>'
    )


def _line(row: Row, currency: str) -> list[str]:
    return [
        f"{row.place}. {escape(row.photo)}",
        escape(", ".join(row.draw)) + (" (says the model)" if row.known_from == "model" else ""),
        f"{row.seconds / 60:.1f}",
        money(row.money, currency),
        money(row.money_so_far, currency),
        "–" if row.uncertainty is None else f"{row.uncertainty:.0%}",
        f"{row.variety:.0%}",
    ]


def _progress(work: Worklist, left: float | None) -> str:
    words = f"{work.looked} of {len(work)} photos looked at"
    return progress_bar("Photos", work.looked, len(work), words, left)


def _buttons(*, running: bool) -> tuple[Any, Any]:
    return gr.Button(visible=not running), gr.Button(visible=running)


def build(context: PageContext, plan_of: Callable[..., Plan], typed: Sequence[Any]) -> None:
    """Controls and events, in the context that is open, which names a data set.

    Args:
        plan_of: makes the plan of the values of `typed`. typed: the inputs of the tab.
    """
    assert context.data is not None
    models = context.models
    named = [(title(name), name) for name in models.names]
    gr.HTML(
        f"<h2>From plan to work</h2>{hint(ABOUT)}", elem_id="work-about", elem_classes="step", apply_default_css=False
    )
    with gr.Row(equal_height=True):
        which = gr.Radio(
            [("Best for the budget", BEST), ("Present roles", PRESENT)], value=BEST, label="Masks for the classes of",
            elem_id="work-which", min_width=260,
        )  # fmt: skip
        model = gr.Dropdown(
            [("The best model at hand", AT_HAND), *named, ("Nobody", NOBODY)], value=AT_HAND,
            label="Who draws first", elem_id="work-model", min_width=180,
        )  # fmt: skip
        most = gr.Number(100, label="Photos at most", precision=0, minimum=1, maximum=2000, elem_id="work-most",
                         min_width=120)  # fmt: skip
        again = gr.Checkbox(
            False, label="Also photos that have these masks", info="To have them checked.", elem_id="work-again",
            min_width=200,
        )  # fmt: skip
    with gr.Row():
        go = gr.Button("Make the worklist", variant="primary", scale=0, min_width=220, elem_id="work-make")
        stop = gr.Button("Stop", variant="stop", visible=False, scale=0, min_width=220, elem_id="work-stop")
        save = gr.DownloadButton(
            "Save it for CVAT, Label Studio and as CSV", visible=False, scale=0, min_width=400, elem_id="work-save"
        )
    answer = gr.HTML(empty("The photos to draw in appear here."), elem_id="work-list", apply_default_css=False)
    job = gr.State(None)
    outputs = [answer, save, job, go, stop]
    making = listen(
        go.click,
        partial(make, context.data, models, plan_of),
        [which, model, most, again, *typed],
        outputs,
        queue="worklist",
    )
    listen(stop.click, partial(finish, context.data), job, outputs, cancels=[making])
