"""The page: a heading, and one tab for each module that has a `build` function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.data_classes import APIInfo, BlocksConfigDict

from simformer.trainings.own import results_folders
from simformer.ui import about, api, endpoints
from simformer.ui.compare import tab as compare
from simformer.ui.costs import tab as costs
from simformer.ui.parts.address import Address
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.dataset import path_of, shown_models, switch, title_of
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


class Page(gr.Blocks):
    """Blocks of several pages, which all tell programs of the same endpoints and have a switch of their own."""

    def get_api_info(self, all_endpoints: bool = False, page: str | None = None) -> APIInfo:
        """As `gr.Blocks` does, of all pages: an endpoint belongs to none."""
        return super().get_api_info(all_endpoints)

    def get_config_file(self) -> BlocksConfigDict:
        """The same for the panel "Use via API". Of pages only the first is named: Gradio would add a bar of links."""
        config = super().get_config_file()
        public = {event["id"] for event in config.get("dependencies", []) if event["api_visibility"] == "public"}
        for page in config["page"].values():
            page["dependencies"] = sorted({*page["dependencies"], *public})
        config["pages"] = config["pages"][:1]
        return config


def build_page(
    models: Models | None = None,
    others: Sequence[Models] = (),
    data: str | Path | None = None,
    list_file: str | None = None,
    local_folders: bool = False,
    training: bool = False,
) -> gr.Blocks:
    """The whole page. The models begin to load with the first request, or when `models.start` is called.

    Args:
        models: None takes those of every data set that is shipped.
        others: models of further data sets: each has a page of its own, and all pages a switch between them.
        data, list_file: a folder data set to show, and the file in it that names its photos.
        local_folders: visitors may name folders of this machine, to count the classes of their label maps.
        training: visitors may train on the data set, on this machine.

    Raises:
        DatasetError: the data set cannot be used.
    """
    shown = shown_models() if models is None else [models, *others]
    # What was trained on the data set here stands beside the shipped results.
    results_folder = results_folders(data)
    page = Page(title=TITLE, analytics_enabled=False, delete_cache=CLEAN_UP, fill_width=True)
    shared = {
        "galleries": {},
        "data": None if data is None else Path(data),
        "list_file": list_file,
        "local_folders": local_folders,
        "training": training and data is not None,
        "results_folder": results_folder,
    }
    with page:
        lay_out(page, shown, shown[0], shared)
        api.build(shown)
        endpoints.build(results_folder)
    for each in shown[1:]:
        with page.route(title_of(each), path_of(shown, each), show_in_navbar=False):
            lay_out(page, shown, each, shared)
    if on_zerogpu():
        for each in shown:
            each.start()
    return page


def lay_out(page: gr.Blocks, shown: Sequence[Models], models: Models, shared: Mapping[str, Any]) -> None:
    """One data set's page, in the context that is open. shared: what all of these pages have in their `PageContext`."""
    sent, address = gr.State(None), Address()
    with gr.Row(elem_classes="heading"):
        gr.Markdown(HEADING)
        switch(shown, models)
        address.bar()
    opened: dict[str, gr.Tab] = {}
    # Wrapped: on a phone the last tabs would else be behind a menu.
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
        for name, label, build in TABS:
            if name != "own-data" or shared["data"] is not None:
                with gr.Tab(label, id=name) as opened[name]:
                    build(PageContext(page, models, tabs, opened[name], sent, address, **shared))
    address.hold_tab(tabs, opened)
    address.connect(page)
