"""The page's address holds settings, so that a link shows somebody else the same, and back and forward work."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from simformer.paths import STATIC
from simformer.ui.parts.events import listen

SCRIPT = STATIC / "address.js"
SAME = "(...values) => values[0]"
# What is held of a setting goes into the address; the script of `bar` says when.
SET_ADDRESS = "(...values) => { window.studioAddress?.set(%s, (%s)(...values)); }"
ADDRESS_WAS_READ = "() => { window.studioAddress?.opened(%s); }"
BUTTON = '<button type="button" class="copy-link">Copy link</button><output aria-live="polite"></output>'

Updates = Sequence[Any]


class Held(NamedTuple):
    """A setting.

    Attributes:
        default: its value where an address says nothing.
        outputs: what it sets. read: their updates for a value from an address, None for a wrong one.
    """

    default: str
    outputs: tuple[Any, ...]
    read: Callable[[str], Updates | None]


class Address:
    """The settings that the address holds, by their names in it."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}

    def hold(
        self,
        name: str,
        default: str,
        outputs: Sequence[Component],
        read: Callable[[str], Updates | None],
        *,
        follow: Sequence[Any] = (),
        text: str = SAME,
    ) -> None:
        """From now on the address has this setting, and a page opened at such an address shows it again.

        Args:
            default: the text of the value that the page has of itself.
            outputs: what a value from an address sets.
            read: their updates for that value; None where it is wrong, which changes nothing.
            follow: the components whose values it is; none if a script writes it (`window.studioAddress.set`).
            text: a JavaScript function from their values to the text that the address holds.
        """
        self.held[name] = Held(default, tuple(outputs), read)
        if follow:
            listen([each.change for each in follow], None, follow, js=SET_ADDRESS % (repr(name), text))

    def hold_tab(self, switch: gr.Tabs, tabs: Mapping[str, gr.Tab]) -> None:
        """The same for the tab that is shown. `switch` holds the tabs; `tabs`: by their names in links."""

        def read(name: str) -> Updates | None:
            return [gr.Tabs(selected=name)] if name in tabs else None

        self.held["tab"] = Held(next(iter(tabs)), (switch,), read)
        for name, tab in tabs.items():
            listen(tab.select, None, js=SET_ADDRESS % ("'tab'", f"() => {name!r}"))

    def restore(self, asked: Mapping[str, str], *, opened: bool = True) -> list[Any]:
        """Updates of all outputs for an address's settings; what it asks for wrongly stays.

        Args:
            opened: the page is new: what its address does not ask for is there. Else the page may have been at any
                other address, and gets the defaults.
        """
        updates: list[Any] = []
        for name, held in self.held.items():
            text = asked.get(name, None if opened else held.default)
            found = None if text is None else held.read(text)
            updates += [gr.skip()] * len(held.outputs) if found is None else found
        return updates

    def bar(self) -> None:
        """The button that copies the link, in the context that is open; its script is what writes the address."""
        self._bar = gr.HTML(
            BUTTON,
            elem_id="address",
            js_on_load=SCRIPT.read_text(encoding="utf-8"),
            apply_default_css=False,
        )

    def connect(self, page: gr.Blocks) -> None:
        """Restore when the page is opened, and with back and forward; once all that holds a setting is laid out."""

        def opened(request: gr.Request) -> list[Any]:
            return self.restore(dict(request.query_params) if request else {})

        def went(event: gr.EventData) -> list[Any]:
            return self.restore(dict(event.settings), opened=False)

        outputs = [output for held in self.held.values() for output in held.outputs]
        first = listen(page.load, opened, None, outputs)
        defaults = {name: held.default for name, held in self.held.items()}
        listen(first.then, None, js=ADDRESS_WAS_READ % json.dumps(defaults))
        listen(self._bar.went, went, None, outputs, last=True)
