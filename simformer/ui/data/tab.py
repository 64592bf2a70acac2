"""The Own data tab: check a folder data set, compare models on it, decide what to annotate, measure."""

from __future__ import annotations

import gradio as gr

from simformer.ui.data import checking, deciding, looking, measuring
from simformer.ui.data.photos import OwnData
from simformer.ui.parts.context import PageContext


def build(context: PageContext) -> None:
    """Put the tab's steps into the page, in the context that is open.

    Raises:
        DatasetError: the context's data set cannot be used.
    """
    if context.data is None:
        raise ValueError("the context names no data set")
    own = OwnData(context.data, context.list_file)
    with gr.Tabs(elem_id="own-steps", overflow_behavior="wrap"):
        with gr.Tab("1. Check", id="own-step-check"):
            checking.build(context, own)
        with gr.Tab("2. Compare with the truth", id="own-step-compare"):
            looking.build(context, own)
        with gr.Tab("3. Decide", id="own-step-decide"):
            deciding.build(context)
        with gr.Tab("4. Measure", id="own-step-measure"):
            measuring.build(own)
