"""What every tab is given to lay itself out."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from simformer.results import RESULTS_FOLDER, Folders
from simformer.ui.parts.address import Address
from simformer.ui.parts.models import Models


@dataclass(frozen=True)
class PageContext:
    """The page that is being built, and what its tabs share.

    Attributes:
        page: its load event brings a tab's first answer.
        models: the models that the whole page asks.
        tabs: hold the tabs; `gr.Tabs(selected=name)` as an event's output opens one.
        tab: the one that is being laid out; its select event brings an answer that nobody needs before.
        sent: roles that one tab sends to the Segment tab, a `simformer.ui.segment.roles.Sent`, at first None.
        address: what links to the page hold.
        galleries: what the Compare tabs of all data sets show, by data set, for the endpoint that answers of them.
        results_folder: measured cells; read at every request, so that a new result needs no restart.
        data, list_file: a folder data set to show, and the file in it that names its photos; None if there is none.
        local_folders: visitors may name folders of this machine; only where they are its owners.
        training: visitors may train on the data set; likewise.
    """

    page: gr.Blocks
    models: Models
    tabs: gr.Tabs
    tab: gr.Tab
    sent: gr.State
    address: Address = field(default_factory=Address)
    galleries: dict[str, Any] = field(default_factory=dict)
    results_folder: Folders = RESULTS_FOLDER
    data: Path | None = None
    list_file: str | None = None
    local_folders: bool = False
    training: bool = False


def only_for_its_owner(host: str | None, share: bool) -> bool:
    """Whether a page listens to its own machine alone: no Space, no other address, no public link.

    Args:
        host: the address to listen at; None = Gradio's choice. share: whether there is a public link.
    """
    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    return host in ("127.0.0.1", "localhost", "::1") and not share and not os.environ.get("SPACE_ID")
