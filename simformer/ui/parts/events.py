"""What a control does: one call for every event of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component
from gradio.events import Dependency

Event = Callable[..., Dependency]
"""What can be listened to: `button.click`, `slider.change`, `page.load`, or `earlier.then` behind another event."""
Blocks = Component | BlockContext | Sequence[Component | BlockContext] | None

# Every handler that runs a network shares this queue: two at once on two cores would only slow each other down.
MODEL_QUEUE = "models"


def listen(
    event: Event | Sequence[Event],
    function: Callable[..., Any] | None,
    inputs: Blocks = None,
    outputs: Blocks = None,
    *,
    progress: Literal["full", "minimal", "hidden"] = "hidden",
    progress_on: Component | None = None,
    last: bool = False,
    queue: str | None = None,
    cancels: Sequence[Dependency] = (),
    js: str | None = None,
) -> Dependency:
    """An event of the page, which is no endpoint.

    Args:
        event: one, or several that do the same; several cannot hold a `then`.
        function: takes the values of `inputs`, returns (or yields) those of `outputs`; None where `js` does it all.
        progress: how Gradio shows that the answer is on its way: in all outputs, or in `progress_on`.
        last: of several events while one is being answered, the last is answered, too; else none of them.
        queue: its events are answered one after the other, whoever asks; each event has a queue of its own if None.
        cancels: these are stopped.
        js: a JavaScript function that runs first, from the inputs' values to those that `function` gets.
    """
    call = event if callable(event) else partial(gr.on, list(event))
    return call(
        function,
        inputs,
        outputs,
        api_visibility="private",
        show_progress=progress,
        show_progress_on=progress_on,
        trigger_mode="always_last" if last else None,
        concurrency_id=queue,
        concurrency_limit=1 if queue else "default",
        cancels=list(cancels) or None,
        js=js,
    )
