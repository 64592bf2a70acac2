"""What links to the page hold."""

from __future__ import annotations

import gradio as gr
import pytest

from simformer.ui.parts.address import Address


def read_number(text):
    return [gr.Number(float(text))] if text.isdigit() else None


@pytest.fixture
def address():
    """Of a page with two tabs, a budget, and an example."""
    address = Address()
    with gr.Blocks() as page:
        address.bar()
        with gr.Tabs() as switch:
            tabs = {}
            for name in ("first", "second"):
                with gr.Tab(name, id=name) as tabs[name]:
                    number = gr.Number()
        address.hold_tab(switch, tabs)
        address.hold("budget", "300", [number], read_number, follow=[number])
        address.hold("example", "Cat", [number], lambda text: [text])
        address.connect(page)
    assert all(function.api_visibility == "private" for function in page.fns.values() if function.fn is not None)
    return address


def test_an_opened_page_gets_what_its_address_asks_for_and_nothing_else(address):
    tab, budget, example = address.restore({"tab": "second", "budget": "12", "example": "Dog", "unknown": "3"})
    assert tab.selected == "second" and budget.value == 12 and example == "Dog"
    assert address.restore({"tab": "nowhere", "budget": "a lot"}) == [gr.skip()] * 3
    assert address.restore({}) == [gr.skip()] * 3


def test_going_back_to_an_address_that_asks_for_nothing_brings_the_defaults(address):
    tab, budget, example = address.restore({}, opened=False)
    assert tab.selected == "first" and budget.value == 300 and example == "Cat"
    _, budget, _ = address.restore({"budget": "wrong"}, opened=False)
    assert budget == gr.skip()
