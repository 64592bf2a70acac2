"""Who waits reads the place in the queue in a sentence."""

from __future__ import annotations

import gradio as gr

from simformer.paths import STATIC

SCRIPT = STATIC / "queue.js"
QUEUED = "queued"
"""Class of the row or column that holds the sentence beside the output of the event that waits."""


def place_in_queue(elem_id: str, *, scale: int | None = None, min_width: int = 160) -> gr.HTML:
    """The sentence, in the context that is open, which has the class QUEUED; empty for whom nobody is before."""
    return gr.HTML(
        '<output class="status"></output>', elem_id=elem_id, scale=scale, min_width=min_width,
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
    )  # fmt: skip
