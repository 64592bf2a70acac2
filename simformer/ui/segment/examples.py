"""The example photos as thumbnails: which classes each shows, how well SimFormer does on it; one click segments it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image, ImageOps

from simformer.datasets.examples import Example, list_examples
from simformer.errors import SimFormerError
from simformer.paths import STATIC
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import hint
from simformer.ui.parts.inputs import PhotoInput
from simformer.ui.parts.models import Models, title
from simformer.ui.parts.photos import Photo, data_uri
from simformer.ui.segment.truth import outlined, score
from simformer.utils.images import load_image

SCRIPT = STATIC / "examples.js"
# Twice the pixels of the thumbnails, for sharp displays.
THUMBNAIL = (216, 144)
NO_CLASS = "no known class"
NONE_KNOWN = (
    "Nothing that the models know is outlined in these photos, and photos of data sets may not be shown here: "
    "choose one of yours."
)
# Not that of the models: who waits here waits for all of them to be loaded.
SCORES_QUEUE = "example-scores"
OWN_PHOTO = "own"
"""What a link says of a photo that is not an example: it cannot hold it."""


def examples_of(models: Models) -> list[Example]:
    """The examples in the order of a data set's page, which opens with the first: those that show classes of it.

    The others follow where the page tells that it knows nothing in a photo, or has no photo of a known class.
    """
    known = [example for example in list_examples() if models.dataset in example.outlines]
    others = [example for example in list_examples() if models.dataset not in example.outlines]
    return [*known, *(others if models.familiarity is not None or not known else ())]


@cache
def thumbnail(path: Path) -> str:
    """Data URI of a photo as large as a thumbnail; of upright ones the upper part, where faces are."""
    image = ImageOps.fit(load_image(path), THUMBNAIL, Image.Resampling.BILINEAR, centering=(0.5, 0.25))
    return data_uri(image, "JPEG", quality=80)


def examples_html(examples: Sequence[Example], dataset: str, model: str | None) -> str:
    """A row of buttons; the script fills in which one is shown, and how well the model does on each.

    Args:
        examples: whose files are there.
        model: whose numbers they will be, as people call it; None if there is no model.
    """
    buttons = "".join(
        f'<li><button type="button" data-example="{escape(each.name)}" aria-pressed="false">'
        f'<img src="{thumbnail(each.path)}" alt="" draggable="false">'
        f"<strong>{escape(each.name)}</strong> <b></b>"
        f"<span>{escape(', '.join(each.outlines.get(dataset, ())) or NO_CLASS)}</span></button></li>"
        for each in examples
        if each.path is not None
    )
    # Shown with the first of them: they are computed after the page has opened.
    numbers = f" <span hidden>with the mIoU of {escape(model)} in %</span>" if model else ""
    label = f'<p><strong id="examples-label">Examples</strong>{numbers}</p>'
    known = any(dataset in each.outlines for each in examples)
    word = "" if known else hint(NONE_KNOWN)
    return f'{label}<ul aria-labelledby="examples-label">{buttons}</ul>{word}'


class ExampleScores:
    """How well the first SimFormer does on the examples: computed once, for whoever asks first.

    Args:
        copy: gives the page's own copy of a photo; what is computed on it is remembered for clicks on it.
    """

    def __init__(self, models: Models, copy: Callable[[Path], str]):
        self.models = models
        self.copy = copy
        self.model = next(iter(models.offered), None)
        self._known: dict[str, str] = {}

    def compute(self) -> Iterator[dict[str, str]]:
        """Name of the example -> mIoU in percent as text; again with each one that is new, of those outlined."""
        if self.model is None:
            return
        # Visitors come first: who opens the page while models are loaded has a picture before all of them are.
        for name in self.models.names:
            for _ in self.models.waiting(name):
                pass
        for example in examples_of(self.models):
            path = example.path
            if path is not None and example.name not in self._known and self.models.dataset in example.outlines:
                try:
                    self._known[example.name] = self._score(self.model, Photo(self.copy(path)))
                except SimFormerError:
                    return  # the views say why
                yield dict(self._known)
        yield dict(self._known)

    def _score(self, model: str, photo: Photo) -> str:
        truth = outlined(self.models, photo, model)
        return score(self.models.segment(model, photo), truth).removeprefix("mIoU ")


def build(context: PageContext) -> gr.HTML:
    """The thumbnails, in the context that is open."""
    models = context.models
    model = next(iter(models.offered), None)
    examples = examples_of(models)
    return gr.HTML(
        examples_html(examples, models.dataset, model and title(model)),
        visible=bool(examples),
        elem_id="examples",
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
        apply_default_css=False,
        chosen=examples[0].name if examples else "",
        scores={},
    )


def connect(context: PageContext, thumbnails: gr.HTML, photo: PhotoInput) -> None:
    """A click shows its photo; so does a link. `photo` shows the first example when the page opens."""
    models = context.models
    paths = {example.name: example.path for example in examples_of(models) if example.path is not None}
    if not paths:
        return
    scores = ExampleScores(models, photo.copy)

    def show(name: str) -> list[Any] | None:
        path = paths.get(name)
        return None if path is None else [photo.copy(path), gr.update(chosen=name)]

    def clicked(event: gr.EventData) -> list[Any]:
        return show(str(event.name)) or [gr.skip(), gr.skip()]

    def compute() -> Iterator[Any]:
        for known in scores.compute():
            yield gr.update(scores=known)

    listen(thumbnails.chose, clicked, None, [photo, thumbnails], last=True)
    listen(photo.input, lambda: gr.update(chosen=OWN_PHOTO), None, thumbnails)
    context.address.hold("example", next(iter(paths)), [photo, thumbnails], show)
    listen(context.page.load, compute, None, thumbnails, queue=SCORES_QUEUE)
