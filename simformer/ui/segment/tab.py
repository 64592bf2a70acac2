"""The Segment tab: a photo goes in, the same photo comes out as every shipped model sees it."""

from __future__ import annotations

from functools import partial
from html import escape

import gradio as gr

from simformer.paths import STATIC
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import MODEL_QUEUE, listen
from simformer.ui.parts.html import hint
from simformer.ui.parts.inputs import PhotoInput
from simformer.ui.parts.queue import QUEUED, place_in_queue
from simformer.ui.segment import examples, many, roles
from simformer.ui.segment.exporting import download_controls
from simformer.ui.segment.proposals import proposals
from simformer.ui.segment.running import leave as leave_queue
from simformer.ui.segment.running import look
from simformer.ui.segment.running import stop as stop_looking
from simformer.ui.segment.views import EMPTY, OPENING, missing_sentence

VIEWS_SCRIPT = STATIC / "views.js"
TO_PHOTO = "(photo) => { if (!photo) document.querySelector('#photo button')?.focus(); }"
SET_OPACITY = "(percent) => { document.documentElement.style.setProperty('--overlay-opacity', percent / 100); }"


def build(context: PageContext) -> None:
    """Put the tab's controls and events into the page, in the context that is open."""
    models = context.models

    def chosen_model(split: str | None, masked: list[str]) -> str | None:
        return roles.chosen_text(models, masked, split)

    first = next(iter(examples.examples_of(models)), None)
    with gr.Column(elem_classes="segment"):
        thumbnails = examples.build(context)
        with gr.Row(elem_classes="segment-columns"):
            with gr.Column(elem_classes="segment-photo"):
                photo = PhotoInput(
                    first and str(first.path),
                    label="Your photo",
                    type="filepath",
                    height=220,
                    sources=["upload", "clipboard", "webcam"],
                    buttons=["fullscreen"],
                    elem_id="photo",
                )
                with gr.Row(elem_classes=["segment-status", QUEUED]):
                    status = gr.HTML(elem_id="status", elem_classes="status", scale=3, min_width=150)
                    place_in_queue("queue", scale=3, min_width=150)
                    run = gr.Button("Segment", variant="primary", elem_id="run", scale=1, min_width=100)
                    stop = gr.Button("Stop", elem_id="stop", scale=1, min_width=100, visible=False)
                    leave = gr.Button("Leave the queue", size="md", elem_id="leave", scale=1, min_width=100)
                split = roles.build_split(models)
            beside = gr.Column(elem_classes="segment-views")
            with gr.Column(elem_classes="segment-roles"):  # after the views for Tab and on a phone: it is long
                if lacking := missing_sentence(models):
                    gr.HTML(hint(escape(lacking)), elem_id="missing")
                masked = roles.build_masked(models)
            controls = roles.RoleControls(split, masked)
            with beside:
                script = VIEWS_SCRIPT.read_text(encoding="utf-8")
                views = gr.HTML(
                    OPENING if first else EMPTY, elem_id="views", apply_default_css=False, js_on_load=script
                )
                with gr.Column(elem_classes="segment-result"):
                    with gr.Row():
                        opacity = gr.Slider(
                            0, 100, 60, step=5, label="Opacity of the colors (%)", info="0 shows the photo.",
                            min_width=260, elem_id="opacity",
                        )  # fmt: skip
                        left_out = gr.Slider(
                            0, 95, 0, step=5, label="Leave out the least certain (%)", info="0 names every pixel.",
                            min_width=260, elem_id="left-out",
                        )  # fmt: skip
                    table = gr.HTML(elem_id="table", apply_default_css=False)
                    download_controls(context.page, models, [photo, masked, split], left_out)
                    with gr.Accordion(
                        "Proposals: what each query says", open=False, elem_id="proposals-section"
                    ) as more:
                        queries = gr.HTML(elem_id="proposals", apply_default_css=False)
                        looking = gr.State(False)
                many.build(context, controls, chosen_model, left_out)

    seen = gr.State(None)
    inputs = [photo, masked, split, left_out]
    outputs = [views, table, status, run, stop, seen]
    # One event for all of them: of quick changes the last one is answered, whatever it was.
    running = listen(
        [context.page.load, photo.change, masked.change, split.input, left_out.change, run.click],
        partial(look, models),
        [*inputs, seen],
        outputs,
        progress="full",
        progress_on=status,
        last=True,
        queue=MODEL_QUEUE,
    )
    listen(run.click, None, photo, js=TO_PHOTO)
    listen(stop.click, partial(stop_looking, models), inputs, [*outputs, queries], cancels=[running])
    listen(leave.click, leave_queue, None, [status, run, seen], cancels=[running])
    listen(opacity.change, None, opacity, js=SET_OPACITY)
    roles.connect(context, controls)
    examples.connect(context, thumbnails, photo)

    def show_proposals(path: str | None, split: str | None, masked: list[str], visible: bool) -> str:
        return proposals(models, path, chosen_model(split, masked), visible)

    listen(more.collapse, lambda: False, None, looking)
    # Not behind what was cancelled: it would run a network for it after all.
    for event in (running.success, listen(more.expand, lambda: True, None, looking).then):
        listen(event, show_proposals, [photo, *controls, looking], queries, queue=MODEL_QUEUE)
