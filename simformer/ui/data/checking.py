"""The step Check: what the folder holds and what is wrong with it."""

# Without `from __future__ import annotations`: gr.api reads the return type as an object to describe the answer.

import time
from collections.abc import Iterator
from html import escape
from typing import TypedDict

import gradio as gr
from gradio.events import api

from simformer.datasets.check import FolderCheck, Mistake
from simformer.ui.data.matrix import together_html
from simformer.ui.data.photos import OwnData
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import html_table, progress_bar, share_text, swatch
from simformer.utils.palette import hex_colors

# Between two looks at how far it is, in seconds.
PROGRESS_SECONDS = 0.5
FILES_SHOWN = 100


class ClassCount(TypedDict):
    """A class: photos that show it, by list, and its labelled pixels."""

    name: str
    photos: dict[str, int]
    pixels: int


class FoundMistake(TypedDict):
    """What is wrong and how to mend it; serious: training or evaluation would end with it."""

    what: str
    mend: str
    serious: bool
    files: list[str]


class CheckAnswer(TypedDict):
    """Photos by list, how many were looked at and have label maps, classes, pairs of classes in photos, mistakes."""

    lists: dict[str, int]
    photos: int
    label_maps: int
    classes: list[ClassCount]
    together: list[list[int]]
    mistakes: list[FoundMistake]


def look(own: OwnData, again: bool = False) -> Iterator[str]:
    """Look at all files that nobody has looked at yet; yields what is known so far, as HTML.

    Args:
        again: look at all of them, because something was mended.
    """
    check = own.new_check() if again else own.check
    told = time.perf_counter()
    yield check_html(check)
    for _ in check.run():
        if time.perf_counter() - told >= PROGRESS_SECONDS:
            told = time.perf_counter()
            yield check_html(check)
    yield check_html(check)


def check_html(check: FolderCheck) -> str:
    """Counts, mistakes, classes and pairs of classes."""
    progress = ""
    if not check.finished:
        words = f"{check.done} of {check.total} photos looked at"
        progress = progress_bar("Photos looked at", check.done, check.total, words, None)
    tables = f"{classes_html(check)}<div>{together_html(check.classes, check.together)}</div>"
    found = mistakes_html(check.mistakes, check.finished)
    return f'{progress}{tiles_html(check)}{found}<div class="check-tables">{tables}</div>'


def tiles_html(check: FolderCheck) -> str:
    """Photos, label maps, classes and the labelled share in large figures."""
    labelled = int(check.pixels.sum())
    total = labelled + check.void
    tiles = {f"photos in {name}": f"{count:,}" for name, count in check.lists.items()}
    tiles |= {
        "label maps": f"{check.label_maps:,}",
        "classes": str(len(check.classes)),
        "pixels labelled": share_text(labelled / total) if total else "–",
    }
    inside = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in tiles.items())
    return f'<dl class="tiles wide">{inside}</dl>'


def mistakes_html(mistakes: list[Mistake], finished: bool) -> str:
    """What is wrong, each with how to mend it and the files it is about."""
    if not mistakes:
        words = "Nothing is wrong with this data set." if finished else "Nothing is wrong so far."
        return f'<p class="check-fine" role="status">{words}</p>'
    return f'<ul class="mistakes">{"".join(map(_mistake, mistakes))}</ul>'


def classes_html(check: FolderCheck) -> str:
    """In how many photos of each list a class is shown, and its share of the labelled pixels."""
    if not check.classes:
        return ""
    colors, labelled = hex_colors(check.classes), max(1, int(check.pixels.sum()))
    rows = [
        [
            f"{swatch(colors[name])}{escape(name)}",
            *(f"{count:,}" for count in check.shown[:, index].tolist()),
            share_text(check.pixels[index] / labelled),
        ]
        for index, name in enumerate(check.classes)
    ]
    head = ["Class", *(f"Photos in {name}" for name in check.lists), "Pixels"]
    return html_table("Classes", head, rows, numbers=range(1, len(head)))


def build(context: PageContext, own: OwnData) -> None:
    """Put the step, and the endpoint `/check`, into the page, in the context that is open."""
    found = gr.HTML(elem_id="own-check", apply_default_css=False)
    with gr.Row():
        again = gr.Button("Check again", elem_id="own-check-again", scale=0, min_width=160)

    def first() -> Iterator[str]:
        yield from look(own)

    def anew() -> Iterator[str]:
        yield from look(own, again=True)

    listen(context.page.load, first, None, found)
    listen(again.click, anew, None, found)

    def check() -> CheckAnswer:
        """What the page's own data set holds, and what is wrong with it; looks at every file that is new to it.

        Returns:
            Photos by list, classes with their photos and pixels, how often two classes occur together, and mistakes.
        """
        for _ in own.check.run():
            pass
        return CheckAnswer(**own.check.answer())

    api(check, api_name="check")


def _mistake(mistake: Mistake) -> str:
    kind = "serious" if mistake.serious else "note"
    files = ""
    if mistake.files:
        shown = "".join(f"<li>{escape(file)}</li>" for file in mistake.files[:FILES_SHOWN])
        if len(mistake.files) > FILES_SHOWN:
            shown += f"<li>and {len(mistake.files) - FILES_SHOWN} more</li>"
        name = f"Show them: {mistake.what}"  # heard without what stands before it
        files = f'<details><summary aria-label="{escape(name)}">Show them</summary><ul>{shown}</ul></details>'
    word = "Wrong" if mistake.serious else "Note"
    return f'<li class="{kind}"><strong>{word}:</strong> {escape(mistake.what)} {escape(mistake.mend)}{files}</li>'
