"""Many photos at once: uploads and zips become label maps in one file, with a list of what failed and why."""

from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from simformer.batch.uploads import MOST_PHOTOS, Failed, unpack
from simformer.errors import SimFormerError
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import hint, html_table, progress_bar
from simformer.ui.parts.inputs import UploadedFiles, failure
from simformer.ui.parts.models import Choice, Models, title
from simformer.ui.parts.photos import Photo
from simformer.ui.parts.queue import QUEUED, place_in_queue
from simformer.ui.segment.exporting import format_choices, full_size_labels, keep_folder, new_folder
from simformer.utils.files import atomic_write

if TYPE_CHECKING:
    from simformer.batch.find import PhotoFile
    from simformer.export import Annotation

CHOSEN = "chosen"
"""The SimFormer with the roles that are chosen on the tab."""

FAILED_FILE = "failed.csv"
NAME = "label-maps"
ZIP_LIMIT = "20 MB"
"""Of one upload: what app.py lets through."""


@dataclass
class Batch:
    """What a visitor's photos have come to so far.

    Attributes:
        folder: holds the label maps, one palette PNG a photo, and in the end the file to save.
        choice, classes: of the model that looks at them.
        photos: those that are to be looked at. looked: how many have been.
        done: those that have a label map. failed: all other files.
    """

    folder: Path
    choice: Choice
    classes: tuple[str, ...]
    photos: list[PhotoFile]
    looked: int = 0
    done: list[PhotoFile] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)

    def label_file(self, photo: PhotoFile) -> Path:
        """Where the label map of a photo is, once it is done."""
        return self.folder / "labels" / f"{photo.stem}.png"


def start(models: Models, files: Sequence[str], wanted: str | None) -> Batch:
    """Unpack what was uploaded.

    Args:
        files: paths of photos and zips. wanted: the model, as `Models.find` reads it.

    Raises:
        SimFormerError: there is no such model, or no photo among the files.
    """
    choice = models.find(wanted)
    if choice is None:
        raise SimFormerError(f"there is no model {wanted!r} here")
    if not files:
        raise SimFormerError("There are no photos yet: choose some, or a zip of them")
    folder = new_folder()
    photos, failed = unpack(map(Path, files), folder / "photos")
    if not photos:
        raise SimFormerError(f"There is no photo among these files: {failed[0].name}: {failed[0].why}")
    return Batch(folder, choice, models.segmenter(choice).classes, photos, failed=failed)


def look(models: Models, batch: Batch, left_out: float) -> Iterator[int]:
    """Segment the photos one by one; yields how many have been looked at. Stop whenever you like."""
    from simformer.labels import palette_image

    for number, file in enumerate(batch.photos, start=1):
        keep_folder(batch.folder)
        try:
            photo = Photo(str(file.path))
            found = models.segment(batch.choice, photo)
            labels = full_size_labels(found, models.shown(photo).full_size, left_out)
            target = batch.label_file(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as out:
                palette_image(labels, batch.classes).save(out, format="PNG")
        except (SimFormerError, OSError) as error:
            batch.failed.append(Failed(file.name, str(error)))
        else:
            batch.done.append(file)
        batch.looked = number
        yield number


def pack(batch: Batch, file_format: str) -> Path | None:
    """The label maps that there are as one zip, in the format, with a list of what failed; None if there are none.

    Raises:
        SimFormerError: there is no such format, or the photos' names do not fit it.
    """
    from simformer.export import find_format
    from simformer.results import to_csv

    if not batch.done:
        return None
    target = find_format(file_format)
    made = batch.folder / f"annotations{target.extension}"
    target.write(_annotations(batch), batch.classes, made)
    file = batch.folder / f"{NAME}.zip"
    listed = to_csv([{"file": each.name, "why": each.why} for each in batch.failed])
    if made.suffix == ".zip":
        made.replace(file)
    with zipfile.ZipFile(file, "a" if made.suffix == ".zip" else "w", zipfile.ZIP_DEFLATED) as archive:
        if made.suffix != ".zip":
            archive.write(made, f"{target.name}{made.suffix}")
        if listed:
            archive.writestr(FAILED_FILE, listed)
    shutil.rmtree(batch.folder / "photos", ignore_errors=True)
    shutil.rmtree(batch.folder / "labels", ignore_errors=True)
    return file


def batch_html(batch: Batch, seconds_left: float | None = None, *, ended: bool = False) -> str:
    """How far it is, in words, and what failed and why."""
    count = len(batch.photos)
    if ended:
        bar = hint(escape(f"{len(batch.done)} of {count} photos segmented by {title(batch.choice)}."))
    else:
        words = f"{batch.looked} of {count} photos looked at by {title(batch.choice)}"
        bar = progress_bar("Photos", batch.looked, count, words, seconds_left)
    if not batch.failed:
        return bar
    rows = [[escape(each.name), escape(each.why)] for each in batch.failed]
    return bar + html_table("Left out", ["File", "Why"], rows)


def run(
    models: Models,
    chosen: Callable[..., str | None],
    files: Sequence[str] | None,
    model: str | None,
    file_format: str,
    left_out: float,
    *choice: Any,
) -> Iterator[tuple[Any, ...]]:
    """Updates of progress, the file to save, the batch (for `finish`) and the buttons Segment and Stop, photo by photo.

    Args:
        chosen: makes of the values `choice` what `Models.find` reads.
        model: a model's name, or CHOSEN.

    Raises:
        gr.Error: one sentence.
    """
    hidden = gr.DownloadButton(visible=False)
    try:
        batch = start(models, files or (), chosen(*choice) if model == CHOSEN else model)
        for text in models.waiting(batch.choice):
            yield hint(escape(text)), hidden, batch, *_buttons(running=True)
        started = time.perf_counter()
        yield batch_html(batch), hidden, batch, *_buttons(running=True)
        for number in look(models, batch, left_out):
            left = (time.perf_counter() - started) / number * (len(batch.photos) - number)
            yield batch_html(batch, left), hidden, batch, *_buttons(running=True)
    except SimFormerError as error:
        yield hint(escape(str(error))), hidden, None, *_buttons(running=False)
        raise failure(error) from error
    yield finish(batch, file_format)


def finish(batch: Batch | None, file_format: str) -> tuple[Any, ...]:
    """The same updates at the end, or where it was stopped: what is done can be saved."""
    if batch is None:
        return gr.skip(), gr.skip(), None, *_buttons(running=False)
    try:
        file = pack(batch, file_format)
    except SimFormerError as error:
        return hint(escape(str(error))), gr.skip(), None, *_buttons(running=False)
    button = gr.DownloadButton(value=file and str(file), visible=file is not None)
    return batch_html(batch, ended=True), button, None, *_buttons(running=False)


def build(context: PageContext, choice: Sequence[Any], chosen: Callable[..., str | None], left_out: gr.Slider) -> None:
    """Controls and events, in the context that is open.

    Args:
        choice: components that say which SimFormer is chosen. chosen: makes of their values what `Models.find` reads.
    """
    models = context.models
    others = [(title(name), name) for name in models.names if name not in models.simformers]
    with gr.Accordion("Many photos at once", open=False, elem_id="many-section"):
        files = UploadedFiles(
            label="Photos or zips",
            file_count="multiple",
            type="filepath",
            height=160,
            elem_id="many-files",
        )
        with gr.Row(equal_height=True):
            model = gr.Dropdown(
                [("The roles chosen above", CHOSEN), *others] if models.simformers else others,
                value=CHOSEN if models.simformers else None, label="Model", min_width=180, elem_id="many-model",
            )  # fmt: skip
            file_format = gr.Dropdown([], label="File format", min_width=180, elem_id="many-format")
            go = gr.Button("Segment all", variant="primary", scale=0, min_width=140, elem_id="many-run")
            stop = gr.Button("Stop", variant="stop", visible=False, scale=0, min_width=140, elem_id="many-stop")
        told = hint(f"{MOST_PHOTOS} photos at most, {ZIP_LIMIT} a file. Each becomes a label map at its own size.")
        with gr.Column(elem_classes=QUEUED):
            progress = gr.HTML(told, elem_id="many-progress", apply_default_css=False)
            place_in_queue("many-queue")
        save = gr.DownloadButton("Save the label maps", visible=False, elem_id="many-save")
    batch = gr.State(None)

    outputs = [progress, save, batch, go, stop]
    listen(context.page.load, format_choices, None, file_format)
    # Not in the models' queue, where minutes of photos would hold up everybody's single ones.
    inputs = [files, model, file_format, left_out, *choice]
    # Who waits for another's photos may stop that, too.
    begun = listen(go.click, lambda: _buttons(running=True), None, [go, stop])
    work = partial(run, models, chosen)
    running = listen(begun.then, work, inputs, outputs, progress="minimal", progress_on=progress, queue="many")
    listen(stop.click, finish, [batch, file_format], outputs, cancels=[running])


def _annotations(batch: Batch) -> Iterator[Annotation]:
    from simformer.export import Annotation
    from simformer.labels import read_label_png

    for photo in batch.done:
        yield Annotation(photo.name, read_label_png(batch.label_file(photo)))


def _buttons(*, running: bool) -> tuple[Any, Any]:
    return gr.Button(visible=not running), gr.Button(visible=running)
