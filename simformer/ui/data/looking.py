"""The step Compare: truth beside predictions, the worst photos first, and what is taken for what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from html import escape
from typing import Any

import gradio as gr
from gradio.events import Dependency

from simformer.batch.gallery import Order, Pair, arrange, to_score
from simformer.errors import SimFormerError
from simformer.paths import STATIC
from simformer.ui.data.html import cards_html, class_table_html, photo_html, progress_html, score_text, scores_html
from simformer.ui.data.matrix import confusion_html, downloads_html
from simformer.ui.data.photos import OwnData
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import MODEL_QUEUE, listen
from simformer.ui.parts.html import empty, hint
from simformer.ui.parts.inputs import failure
from simformer.ui.parts.models import Models, title
from simformer.ui.segment.tab import SET_OPACITY, VIEWS_SCRIPT, missing_sentence

CARDS_SCRIPT, MATRIX_SCRIPT = STATIC / "cards.js", STATIC / "matrix.js"
ORDERS: tuple[tuple[str, Order], ...] = (
    ("worst mIoU first", "worst"),
    ("fewest right pixels first", "least accurate"),
    ("best mIoU first", "best"),
    ("by name", "name"),
)
ANY_CLASS = ""
PAGE_SIZE = 12
NO_ROLE = "no role"
# The page is told of progress at most this often, in seconds: each time costs it a new table.
PROGRESS_SECONDS = 0.5
NO_PHOTO = empty("Choose a photo below: its truth, prediction and difference map appear here, large.")


def overview(own: OwnData, models: Models, model: str | None, seconds_left: float | None = None) -> tuple[str, str]:
    """(progress and scores, table of classes) as HTML, of what is known so far; waits for the model.

    Without a model, or with one whose classes are not those of the data, it says so instead.
    """
    if model is None:
        return hint(escape(missing_sentence(models))), ""
    try:
        roles = own.predictor(models, model).roles
    except SimFormerError as error:
        return hint(escape(str(error))), ""
    evaluation = own.evaluation(model)
    done = own.labelled - len(to_score(own.dataset, evaluation))
    html = progress_html(done, own.labelled, seconds_left, list(evaluation.problems.values()))
    novel = tuple(index for index, role in enumerate(roles) if role == "novel")
    return html + scores_html(evaluation, novel), class_table_html(own, evaluation, roles)


def first_overview(own: OwnData, models: Models, model: str | None) -> Iterator[tuple[Any, Any]]:
    """`overview` for a page that has just been opened: says so while the model is still being loaded."""
    if model in models.names:
        for text in models.waiting(model):
            yield hint(escape(text)), gr.skip()
    yield overview(own, models, model)


def evaluate(own: OwnData, models: Models, model: str | None) -> Iterator[tuple[Any, Any]]:
    """Evaluate what has not been evaluated yet; cancelled, it keeps what it has.

    Yields:
        (progress and scores, table) as HTML, while the model is loaded and then photo by photo.

    Raises:
        gr.Error: one sentence; there is no model, or its classes are not those of the data.
    """
    if model is None:
        raise failure(SimFormerError(missing_sentence(models)))
    try:
        for text in models.waiting(model):
            yield hint(escape(text)), gr.skip()
        left = len(to_score(own.dataset, own.evaluation(model)))
        started = told = time.perf_counter()
        for done, _ in enumerate(own.evaluate(models, model), start=1):
            now = time.perf_counter()
            if now - told >= PROGRESS_SECONDS:
                told = now
                yield overview(own, models, model, (now - started) / done * (left - done))
        yield overview(own, models, model)
    except SimFormerError as error:
        yield hint(escape(str(error))), gr.skip()
        raise failure(error) from error


def gallery(
    own: OwnData, model: str | None, order: Order, class_name: str, pair: Pair | None = None, page: float = 1
) -> tuple[str, dict[str, Any]]:
    """One page of cards as HTML, and the update of the slider that turns the pages. Runs no network.

    Args:
        pair: only photos in which one class was taken for another, whatever class and order are chosen.
    """
    evaluation, class_index = own.evaluation(model or ""), class_index_of(own, class_name)
    indices = arrange(own.dataset, evaluation, order, class_index, pair)
    pages = max(1, -(-len(indices) // PAGE_SIZE))
    page = min(max(1, int(page)), pages)
    shown = indices[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    cards = [(index, own.card(model, index)) for index in shown]
    slider = gr.update(value=page, maximum=max(2, pages), label=f"Page of {pages}", visible=pages > 1)
    return cards_html(own, evaluation, cards, len(indices), class_index, pair), slider


def measured(own: OwnData, models: Models, model: str | None) -> str:
    """The confusion matrix and links to CSV files, as HTML; nothing without a model that can be compared."""
    if model is None:
        return ""
    try:
        roles = own.predictor(models, model).roles
    except SimFormerError:
        return ""
    evaluation, dataset = own.evaluation(model), own.dataset
    return confusion_html(dataset.classes, evaluation) + downloads_html(
        dataset.classes, roles, dataset.names, evaluation
    )


def open_photo(own: OwnData, models: Models, model: str | None, index: int) -> Iterator[str]:
    """One photo large, as HTML: at once what is known, then with the model's prediction, which scores it too.

    Raises:
        gr.Error: one sentence; the photo cannot be read, or the model's classes are not those of the data.
    """
    try:
        small = own.small(index)
    except SimFormerError as error:
        yield hint(escape(str(error)))
        raise failure(error) from error
    labels = None if model is None else own.known_prediction(model, index)
    roles = [NO_ROLE] * len(own.dataset.classes)
    if model is None:
        yield photo_html(own, index, small, None, roles, hint(escape(missing_sentence(models))), "no model")
        return
    if labels is None:
        yield photo_html(own, index, small, None, roles, hint(f"{escape(title(model))} is looking at the photo."))
    try:
        for text in models.waiting(model):
            yield photo_html(own, index, small, None, roles, hint(escape(text)))
        roles = own.predictor(models, model).roles
        labels = own.predict(models, model, index)
    except SimFormerError as error:
        yield photo_html(own, index, small, None, roles, hint(escape(str(error))), "no prediction")
        raise failure(error) from error
    score = own.evaluation(model).photos.get(index)
    yield photo_html(own, index, small, labels, roles, score_text(own, score))


def step(
    own: OwnData,
    model: str | None,
    order: Order,
    class_name: str,
    pair: Pair | None,
    current: int | None,
    *,
    by: int,
) -> int | None:
    """The photo `by` places further in the gallery's order, the first one if `current` is not in it; None if empty."""
    indices = arrange(own.dataset, own.evaluation(model or ""), order, class_index_of(own, class_name), pair)
    if current not in indices:
        return indices[0] if indices else None
    return indices[(indices.index(current) + by) % len(indices)]


def show(own: OwnData, models: Models, model: str | None, index: int | None) -> Iterator[str]:
    """`open_photo` of the photo that is chosen, if one is."""
    if index is not None:
        yield from open_photo(own, models, model, index)


def chosen(event: gr.EventData) -> int:
    """The photo of the card that was clicked."""
    return int(event.index)


def chosen_pair(event: gr.EventData) -> tuple[Pair, Any]:
    """The true and the predicted class of the matrix's cell that was clicked, and the button that forgets them."""
    return (int(event.truth), int(event.predicted)), gr.Button(visible=True)


def class_index_of(own: OwnData, class_name: str) -> int | None:
    """Index of the class to filter by, None for any."""
    return own.dataset.classes.index(class_name) if class_name in own.dataset.classes else None


def build(context: PageContext, own: OwnData) -> None:
    """Put the step's controls and events into the page, in the context that is open."""
    models = context.models
    classes = [("any class", ANY_CLASS), *((name, name) for name in own.dataset.classes)]
    which = f"those in {own.list_file}" if own.list_file else "all of them"
    text = f"**{escape(own.name)}**: {len(own.dataset)} photos ({which}), {len(own.dataset.classes)} classes."
    with gr.Row(elem_classes="own-data"):
        with gr.Column(min_width=300, elem_classes="own-controls"):
            gr.Markdown(text)
            model = gr.Dropdown(
                [(title(name), name) for name in models.names],
                value=next(iter((*models.offered, *models.names)), None),
                label="Model",
                elem_id="own-model",
            )
            with gr.Row():
                run = gr.Button("Evaluate all", variant="primary", min_width=120, elem_id="own-run")
                stop = gr.Button("Stop", variant="stop", min_width=120, elem_id="own-stop", visible=False)
            status = gr.HTML(elem_id="own-status", elem_classes="status")
        with gr.Column(min_width=300, elem_classes="own-gallery"):
            opened = gr.HTML(NO_PHOTO, elem_id="own-photo", js_on_load=VIEWS_SCRIPT.read_text(encoding="utf-8"))
            with gr.Row():
                back = gr.Button("Previous photo", size="sm", min_width=120, elem_id="own-previous")
                forth = gr.Button("Next photo", size="sm", min_width=120, elem_id="own-next")
            with gr.Row():
                order = gr.Dropdown([*ORDERS], value="worst", label="Order", elem_id="own-order", min_width=210)
                class_name = gr.Dropdown(
                    classes, value=ANY_CLASS, label="Only photos that show", elem_id="own-class", min_width=180
                )
                number = gr.Slider(1, 2, 1, step=1, label="Page", elem_id="own-page", visible=False, min_width=210)
                opacity = gr.Slider(
                    0, 100, 60, step=5, label="Opacity of the colors (%)", elem_id="own-opacity", min_width=210
                )
            every = gr.Button("Show all photos again", size="sm", visible=False, elem_id="own-every")
            cards = gr.HTML(elem_id="own-cards", js_on_load=CARDS_SCRIPT.read_text(encoding="utf-8"))
        with gr.Column(min_width=300, elem_classes="own-classes"):
            table = gr.HTML(elem_id="own-table")
    matrix = gr.HTML(elem_id="own-matrix", js_on_load=MATRIX_SCRIPT.read_text(encoding="utf-8"))
    current, pair = gr.State(None), gr.State(None)

    first_page, show_matrix = partial(gallery, own), partial(measured, own, models)
    show_overview = partial(overview, own, models)
    chosen_order = [model, order, class_name, pair]
    shown, scored = [cards, number], [status, table]
    load = context.page.load

    def open_after(event: Dependency) -> None:
        seen = listen(
            event.then,
            partial(show, own, models),
            [model, current],
            opened,
            progress="full",
            progress_on=opened,
            queue=MODEL_QUEUE,
        )
        listen(seen.then, show_overview, model, scored)

    open_after(listen(cards.click, chosen, None, current))
    for button, by in ((back, -1), (forth, 1)):
        open_after(listen(button.click, partial(step, own, by=by), [*chosen_order, current], current))
    # Not in the models' queue, where an evaluation of minutes would hold up everybody's photos.
    begun = listen(run.click, lambda: gr.Button(visible=True), None, stop)
    running = listen(
        begun.then, partial(evaluate, own, models), model, scored, progress="full", progress_on=status, queue="own-data"
    )
    stopped = listen(stop.click, show_overview, model, scored, progress="full", cancels=[running])
    # What is told of one model stays away from another's name; its photos are kept, and evaluated again it goes on.
    changed = listen(model.input, None, cancels=[running])
    for event in (running.then, stopped.then, changed.then):
        listen(event, lambda: gr.Button(visible=False), None, stop)
    listen(running.then, first_page, chosen_order, shown)
    listen(running.then, show_matrix, model, matrix)
    # Who asks for a class or an order does not want the photos of one confusion any more.
    no_pair = (lambda: (None, gr.Button(visible=False)), None, [pair, every])
    for event in (listen([order.input, class_name.input, every.click], *no_pair), listen(model.input, *no_pair)):
        listen(event.then, first_page, chosen_order, shown, progress="full")
    listen(listen(matrix.click, chosen_pair, None, [pair, every]).then, first_page, chosen_order, shown)
    listen(stopped.then, first_page, chosen_order, shown, progress="full")
    listen(stopped.then, show_matrix, model, matrix)
    listen([load, model.input], partial(first_overview, own, models), model, scored)
    listen([load, model.input], show_matrix, model, matrix)
    listen(load, first_page, chosen_order, shown, progress="minimal")
    open_after(listen(model.input, lambda index: index, current, current))
    listen(number.input, first_page, [*chosen_order, number], shown, progress="full", last=True)
    listen(opacity.change, None, opacity, js=SET_OPACITY)
