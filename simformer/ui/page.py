"""The page: a heading, and one tab for each file that has a `build` function."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import gradio as gr

from simformer.ui import api, segment
from simformer.ui.models import Models

TITLE = "SimFormer Studio"
HEADING = f"""# {TITLE}
Segment more classes than you have masks for: base classes are learnt from masks, novel ones from image labels."""
# Seconds between two clean-ups of uploaded and downloaded files, and the age at which they go.
CLEAN_UP = (3600, 3600)


class Tab(NamedTuple):
    """One tab: its name in links, its label, and the function that fills it."""

    name: str
    label: str
    build: Callable[[gr.Blocks, Models], None]


TABS = (Tab("segment", "Segment", segment.build),)


def build_page(models: Models | None = None) -> gr.Blocks:
    """The whole page. The models begin to load in the background.

    Args:
        models: None takes the shipped ones.
    """
    models = models or Models()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=CLEAN_UP, fill_width=True) as page:
        gr.Markdown(HEADING, elem_classes="heading")
        with gr.Tabs(elem_id="tabs"):
            for tab in TABS:
                with gr.Tab(tab.label, id=tab.name):
                    tab.build(page, models)
        api.build(models)
    models.start()
    return page
