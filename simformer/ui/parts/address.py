"""The page's address holds settings, so that a link shows somebody else the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from simformer.ui.parts.events import listen

# Writes a setting into the page's address.
SET_ADDRESS = """(value) => {
  if (!window.addressWasRead) return;  // a page that opens shows its first tab before it has read its address
  const address = new URL(window.location);
  address.searchParams.set("%s", value);
  window.history.replaceState(null, "", address);
}"""
ADDRESS_WAS_READ = "() => { window.addressWasRead = true; }"

Updates = Sequence[Any]


class Held(NamedTuple):
    """A setting: the components it sets, and their updates for a value from an address (None for a wrong one)."""

    outputs: tuple[Any, ...]
    read: Callable[[str], Updates | None]


class Address:
    """The settings that the address holds, by their names in it."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}

    def hold(
        self, name: str, component: Any, outputs: Sequence[Component], read: Callable[[str], Updates | None]
    ) -> None:
        """From now on the address follows `component`, and a page opened at such an address shows it again.

        Args:
            outputs: what a value from an address sets.
            read: their updates for that value; None where it is wrong, which changes nothing.
        """
        self.held[name] = Held(tuple(outputs), read)
        listen(component.change, None, component, js=SET_ADDRESS % name)

    def hold_tab(self, switch: gr.Tabs, tabs: Mapping[str, gr.Tab]) -> None:
        """The same for the tab that is shown. `switch` holds the tabs; `tabs`: by their names in links."""

        def read(name: str) -> Updates | None:
            return [gr.Tabs(selected=name)] if name in tabs else None

        self.held["tab"] = Held((switch,), read)
        for name, tab in tabs.items():
            listen(tab.select, None, js=f'() => ({SET_ADDRESS % "tab"})("{name}")')

    def restore(self, asked: Mapping[str, str]) -> list[Any]:
        """Updates of all outputs for an address's settings; what it does not ask for, or wrongly, stays."""
        updates: list[Any] = []
        for name, (outputs, read) in self.held.items():
            found = read(asked[name]) if name in asked else None
            updates += [gr.skip()] * len(outputs) if found is None else found
        return updates

    def connect(self, page: gr.Blocks) -> None:
        """Restore when the page is opened; after everything that holds a setting has been laid out."""

        def restore(request: gr.Request) -> list[Any]:
            return self.restore(dict(request.query_params) if request else {})

        outputs = [output for held in self.held.values() for output in held.outputs]
        opened = listen(page.load, restore, None, outputs)
        listen(opened.then, None, js=ADDRESS_WAS_READ)
