"""What several tabs need to take photos in and to say what went wrong."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ImageData, ListFiles
from gradio.exceptions import InvalidPathError
from gradio.processing_utils import _check_allowed, save_file_to_cache

from simformer.errors import SimFormerError


class PhotoInput(gr.Image):
    """An image input that hands on the path of the file as it was sent; use it with `type="filepath"`.

    `gr.Image` opens the file before the handler can: a damaged one would end in its error instead of one sentence.
    """

    # Gradio draws it as the image input it is. (For subclasses it also writes inputs.pyi, which git ignores.)
    is_template = True

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of the uploaded file, None if there is none.

        Raises:
            gr.Error: the path leads, links followed, to a file that was not uploaded to this page. Gradio itself checks
                only what a request marks as a file, and of an image it does not ask for the mark.
        """
        # Not payload.path: in the inputs.pyi that Gradio writes type checkers do not see that payload is not None.
        path = getattr(payload, "path", "")
        return uploaded(path, "photo") if path else None

    def copy(self, path: Path) -> str:
        """Path of a copy that the page may show as if it had been uploaded; there is one of each file."""
        return save_file_to_cache(path, self.GRADIO_CACHE)


class UploadedFiles(gr.File):
    """A file input that hands on only files that were uploaded to this page."""

    is_template = True

    def preprocess(self, payload: ListFiles | FileData | None) -> Any:
        """As `gr.File` does. Raises gr.Error: a path leads to a file that was not uploaded to this page."""
        for file in payload if isinstance(payload, ListFiles) else filter(None, [payload]):
            uploaded(file.path, "file")
        return super().preprocess(payload)


class ChangingChoices(gr.CheckboxGroup):
    """Check boxes whose choices change with other controls.

    A request that was sent before they changed still names old ones, for which `gr.CheckboxGroup` raises an error.
    """

    is_template = True

    def preprocess(self, payload: list[Any]) -> Any:
        """As `gr.CheckboxGroup` does, of the checked values that are still choices."""
        known = [value for _, value in self.choices]
        return super().preprocess([value for value in payload if value in known])


def uploaded(path: str, what: str) -> str:
    """The path, if a visitor has uploaded the file that it leads to, links followed. `what` the file is, in a word.

    Raises:
        gr.Error: it was not uploaded to this page. Gradio itself checks only what a request marks as a file.
    """
    try:
        _check_allowed(path, check_in_upload_folder=True)
    except (InvalidPathError, ValueError, OSError, RuntimeError) as error:  # a path may hold zeros, or be a circle
        raise failure(SimFormerError(f"The {what} was not uploaded to this page; please choose it again.")) from error
    return path


def failure(error: SimFormerError) -> gr.Error:
    """The error as the page shows it: its sentence. Messages are rendered as HTML, hence the escaping."""
    return gr.Error(escape(str(error), quote=False), title="This did not work", print_exception=False)
