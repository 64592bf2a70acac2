"""The page: a heading, and one tab for each module that has a `build` function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from simformer.results import RESULTS_FOLDER
from simformer.trainings.own import OwnRuns
from simformer.ui import about, api, endpoints
from simformer.ui.compare import tab as compare
from simformer.ui.costs import tab as costs
from simformer.ui.parts.address import Address
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.models import Models
from simformer.ui.parts.zerogpu import on_zerogpu
from simformer.ui.results import tab as results
from simformer.ui.segment import tab as segment
from simformer.ui.segment.roles import SEGMENT_TAB

TITLE = "SimFormer Studio"
HEADING = f"""# {TITLE}
Segment more classes than you have masks for: base classes are learnt from masks, novel ones from image labels."""
# Seconds between two clean-ups of uploaded and downloaded files, and the age at which they go.
CLEAN_UP = (3600, 3600)


class Tab(NamedTuple):
    """One tab: its name in links, its label, and the function that lays it out in the open context."""

    name: str
    label: str
    build: Callable[[PageContext], None]


def own_data(context: PageContext) -> None:
    """The tab of a folder data set. Raises DatasetError."""
    # Only here: it imports torch, for which the page would have to wait.
    from simformer.ui.data.tab import build

    build(context)


# A page opens on the first that is there: whoever names a data set wants to see it.
TABS = (
    Tab("own-data", "Own data", own_data),
    Tab(SEGMENT_TAB, "Segment", segment.build),
    Tab("compare", "Compare", compare.build),
    Tab("results", "Results", results.build),
    Tab(costs.COSTS_TAB, "Annotation cost", costs.build),
    Tab("about", "About", about.build),
)


def build_page(
    models: Models | None = None,
    data: str | Path | None = None,
    list_file: str | None = None,
    local_folders: bool = False,
    training: bool = False,
) -> gr.Blocks:
    """The whole page. The models begin to load with the first request, or when `models.start` is called.

    Args:
        models: None takes the shipped ones.
        data, list_file: a folder data set to show, and the file in it that names its photos.
        local_folders: visitors may name folders of this machine, to count the classes of their label maps.
        training: visitors may train on the data set, on this machine.

    Raises:
        DatasetError: the data set cannot be used.
    """
    models = models or Models()
    # What was trained on the data set here stands beside the shipped results.
    results_folder = RESULTS_FOLDER if data is None else (RESULTS_FOLDER, OwnRuns(data).results)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=CLEAN_UP, fill_width=True) as page:
        sent, address = gr.State(None), Address()
        with gr.Row(elem_classes="heading"):
            gr.Markdown(HEADING)
            address.bar()
        opened: dict[str, gr.Tab] = {}
        # Wrapped: on a phone the last tabs would else be behind a menu.
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as switch:
            context = partial(
                PageContext,
                page,
                models,
                switch,
                sent=sent,
                address=address,
                data=None if data is None else Path(data),
                list_file=list_file,
                local_folders=local_folders,
                training=training and data is not None,
                results_folder=results_folder,
            )
            for name, label, build in TABS:
                if name != "own-data" or data is not None:
                    with gr.Tab(label, id=name) as opened[name]:
                        build(context(opened[name]))
        address.hold_tab(switch, opened)
        address.connect(page)
        api.build(models)
        endpoints.build(results_folder)
    if on_zerogpu():
        models.start()
    return page
