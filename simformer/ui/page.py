"""The page: a heading, and one tab for each module that has a `build` function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from simformer.ui import about, api, endpoints
from simformer.ui.costs import tab as costs
from simformer.ui.parts.models import Models
from simformer.ui.parts.zerogpu import on_zerogpu
from simformer.ui.results import tab as results
from simformer.ui.segment import roles
from simformer.ui.segment import tab as segment

TITLE = "SimFormer Studio"
HEADING = f"""# {TITLE}
Segment more classes than you have masks for: base classes are learnt from masks, novel ones from image labels."""
# Seconds between two clean-ups of uploaded and downloaded files, and the age at which they go.
CLEAN_UP = (3600, 3600)


class Tab(NamedTuple):
    """One tab: its name in links, its label, and the function that fills it."""

    name: str
    label: str
    build: Callable[[gr.Blocks, Models], Any]


def tabs_of(switch: gr.Tabs, sent: gr.State, local_folders: bool) -> list[Tab]:
    """The tabs that every page has.

    Args:
        switch: holds them. sent: roles that one tab sends to another, one for each of the models' classes.
        local_folders: visitors may name folders of this machine.
    """
    plan = partial(costs.build, tabs=switch, roles_state=sent, local_folders=local_folders)
    return [
        Tab(roles.SEGMENT_TAB, "Segment", partial(segment.build, sent=sent)),
        Tab("results", "Results", lambda page, models: results.build(page)),
        Tab("costs", "Annotation cost", lambda page, models: plan(page, models.classes)),
        Tab("about", "About", lambda page, models: about.build()),
    ]


def own_data_tab(data: str | Path, list_file: str | None) -> Tab:
    """The tab that compares a folder data set with predictions. Raises DatasetError."""
    # Only here: these two import torch, for which the page would have to wait.
    from simformer.ui.data import tab as own_data
    from simformer.ui.data.photos import OwnData

    return Tab("own-data", "Own data", partial(own_data.build, own=OwnData(data, list_file)))


def build_page(
    models: Models | None = None,
    data: str | Path | None = None,
    list_file: str | None = None,
    local_folders: bool = False,
) -> gr.Blocks:
    """The whole page. The models begin to load with the first request, or when `models.start` is called.

    Args:
        models: None takes the shipped ones.
        data, list_file: a folder data set to show, and the file in it that names its photos.
        local_folders: visitors may name folders of this machine, to count the classes of their label maps.

    Raises:
        DatasetError: the data set cannot be used.
    """
    models = models or Models()
    own = [] if data is None else [own_data_tab(data, list_file)]
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=CLEAN_UP, fill_width=True) as page:
        gr.Markdown(HEADING, elem_classes="heading")
        sent = gr.State(None)
        built: dict[str, Any] = {}
        opened: dict[str, gr.Tab] = {}
        # Wrapped: on a phone the last tabs would else be behind a menu.
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as switch:
            first, *others = tabs_of(switch, sent, local_folders)
            for tab in (first, *own, *others):
                with gr.Tab(tab.label, id=tab.name) as opened[tab.name]:
                    built[tab.name] = tab.build(page, models)
        roles.connect_address(page, models, built[first.name], switch, opened)
        api.build(models)
        endpoints.build()
    if on_zerogpu():
        models.start()
    return page
