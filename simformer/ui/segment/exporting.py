"""Label maps leave the page as files that annotation tools import."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from simformer.errors import SimFormerError
from simformer.ui.parts.events import MODEL_QUEUE, listen
from simformer.ui.parts.inputs import failure
from simformer.ui.parts.models import CAM, ORACLE, SIMFORMER, Models, title
from simformer.ui.parts.photos import Photo
from simformer.ui.segment.roles import chosen_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simformer.segmentation import Segmentation

# Gradio copies a file right after the handler has returned its path; a folder this old has been copied.
KEPT_SECONDS = 600
KEPT_FOLDERS = 200
# File systems take 255; Gradio's copy and a temporary name add to it.
NAME_BYTES = 200
PREFIX = "simformer-export-"
FIRST_FORMAT = "png"
CLICK_LINK = "() => { setTimeout(() => document.querySelector('#export-file').click(), 50); }"


def export_map(
    models: Models, path: str | None, split: str | None, which: str, file_format: str, left_out: float
) -> str:
    """Write one model's label map, at the photo's own size.

    Args:
        path: the photo's file.
        split: the SimFormer that "simformer" means, as `Models.find` reads it.
        which: "simformer", or the name of a model.
        file_format: a name in `simformer.export.FORMATS`.
        left_out: percent of the pixels, the least certain ones, that are unsure.

    Returns:
        The file; its folder is deleted some minutes later.

    Raises:
        gr.Error: one sentence.
    """
    from simformer.export import Annotation, find_format

    try:
        if path is None:
            raise SimFormerError("There is no photo yet: choose one, then download its label map")
        photo = Photo(path)
        wanted = split if which == SIMFORMER else which
        segmentation = models.segment(models.find(wanted) or wanted or SIMFORMER, photo)
        labels = full_size_labels(segmentation, models.shown(photo).full_size, left_out)
        target = find_format(file_format)
        file = new_folder() / file_name(photo.path, segmentation.model, target.extension)
        target.write([Annotation(photo.name, labels)], segmentation.classes, file)
    except SimFormerError as error:
        raise failure(error) from error
    return str(file)


def full_size_labels(found: Segmentation, size: tuple[int, int], left_out: float) -> NDArray[np.uint8]:
    """The label map (uint8, H x W) at the photo's own size (height, width).

    Args:
        left_out: percent of the pixels, the least certain ones, that are unsure, 255.
    """
    from simformer.inference.resampling import labels_from_scores

    return labels_from_scores(found.score_maps, size, found.least_certain(left_out / 100))


def file_name(photo: Path, model: str, extension: str) -> str:
    """PHOTO-MODEL and the extension: printable, and no longer than file systems take, whatever its parts are."""
    stem = "".join(letter if letter.isprintable() else "_" for letter in f"{photo.stem}-{model}")
    return stem.encode(errors="replace")[: NAME_BYTES - len(extension)].decode(errors="ignore") + extension


def new_folder() -> Path:
    """A fresh temporary folder; those of some minutes ago are deleted, and the oldest where there are too many."""
    ages = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another request has deleted it
            ages.append((time.time() - folder.stat().st_mtime, folder))
    for number, (age, folder) in enumerate(sorted(ages, key=lambda pair: pair[0])):
        if age > KEPT_SECONDS or number >= KEPT_FOLDERS:
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def keep_folder(folder: Path) -> None:
    """Tells that a folder of `new_folder` is still in use: its minutes begin anew."""
    with suppress(OSError):  # it is gone
        os.utime(folder)


def format_choices() -> gr.Dropdown:
    """The export formats; asked for once the page is up, because their packages take a second to import."""
    from simformer.export import FORMATS

    return gr.Dropdown([(entry.label, name) for name, entry in FORMATS.items()], value=FIRST_FORMAT)


def download_controls(page: gr.Blocks, models: Models, chosen: Sequence[Component], left_out: gr.Slider) -> None:
    """Controls and events for downloads. `chosen`: the photo and both controls of the roles."""

    def export(path: str | None, masked: list[str], split: str | None, *options: Any) -> str:
        return export_map(models, path, chosen_text(models, masked, split), *options)

    maps = [(title(SIMFORMER), SIMFORMER)] if models.simformers else []
    maps += [(title(name), name) for name in (CAM, ORACLE) if name in models.names]
    with gr.Row(equal_height=True):
        which = gr.Dropdown(
            maps, value=maps[0][1] if maps else None, label="Label map of", min_width=180, elem_id="export-model"
        )
        file_format = gr.Dropdown([], label="File format", elem_id="export-format", min_width=180)
        save = gr.Button("Download", elem_id="export", interactive=bool(maps), scale=0, min_width=160)
    listen(page.load, format_choices, None, file_format)
    file = gr.DownloadButton("The file", elem_id="export-file")
    saved = listen(
        save.click,
        export,
        [*chosen, which, file_format, left_out],
        file,
        progress="full",
        progress_on=save,
        queue=MODEL_QUEUE,
    )
    listen(saved.success, None, js=CLICK_LINK)
