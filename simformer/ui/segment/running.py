"""What the Segment tab does when photo, roles or certainty change: run, stop, and offer only what means something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from simformer.errors import SimFormerError
from simformer.ui.parts.html import hint
from simformer.ui.parts.models import Models
from simformer.ui.parts.photos import Photo
from simformer.ui.segment.roles import chosen_text
from simformer.ui.segment.views import Panels, segment_photo

NOTHING: Panels = (gr.skip(), gr.skip(), gr.skip())
LEFT = "You left the queue."
NO_QUERIES = hint("Stopped: with the photo's views its queries come, too.")


class Asked(NamedTuple):
    """What a visitor wants to see: values of the controls, and `seen`, what the page shows already (`key`)."""

    path: str | None
    masked: list[str]
    split: str | None
    left_out: float
    seen: Any = None

    def choice(self, models: Models) -> str | None:
        """The SimFormer, as `Models.find` reads it."""
        return chosen_text(models, self.masked, self.split)

    def key(self, models: Models) -> Any:
        """Equal if and only if the page looks the same. Raises ImageError."""
        return self.path and Photo(self.path).key, self.choice(models), self.left_out


class Offers(NamedTuple):
    """Updates of both buttons, and what the page shows now."""

    run: Any
    stop: Any
    seen: Any


def offers(*, running: bool = False, seen: Any = None) -> Offers:
    """While a model runs it can be stopped; what did not come to its end can be run again.

    Args:
        seen: what has come to its end; None if nothing has.
    """
    return Offers(gr.Button(visible=not running and seen is None), gr.Button(visible=running), seen)


def look(models: Models, *asked: Any) -> Iterator[tuple[Any, ...]]:
    """Updates of views, table, status and `Offers` until all models have answered; none if the page shows it already.

    Args:
        asked: as `Asked`. Several events may tell of one change, and the first of them has answered it.

    Raises:
        gr.Error: as `segment_photo`.
    """
    wanted = Asked(*asked)
    try:
        key = wanted.key(models)
    except SimFormerError:
        key = None  # the photo is gone, which segmenting it says
    if wanted.path is not None and key is not None and key == wanted.seen:
        yield (*NOTHING, *[gr.skip()] * len(Offers._fields))
        return
    try:
        for panels in segment_photo(models, wanted.path, wanted.choice(models), wanted.left_out):
            yield *panels, *offers(running=wanted.path is not None)
    except gr.Error:
        yield *NOTHING, *offers()
        raise
    yield *NOTHING, *offers(seen=key if wanted.path else None)


def stop(models: Models, *asked: Any) -> tuple[Any, ...]:
    """The same updates with what is known at this moment, and the proposals; what was promised is taken back.

    Raises:
        gr.Error: as `segment_photo`.
    """
    wanted = Asked(*asked)
    *_, panels = segment_photo(models, wanted.path, wanted.choice(models), wanted.left_out, stopped=True)
    return *panels, *offers(), NO_QUERIES


def leave() -> tuple[Any, ...]:
    """Updates of status, the button that runs, and what the page shows: its views stay, for nothing has begun."""
    again = offers()
    return LEFT, again.run, again.seen
