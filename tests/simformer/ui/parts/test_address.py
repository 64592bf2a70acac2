"""What links to the page hold."""

from __future__ import annotations

import gradio as gr

from simformer.ui.parts.address import Address


def test_an_address_sets_what_it_asks_for_and_nothing_else():
    with gr.Blocks() as page:
        address = Address()
        with gr.Tabs() as switch:
            tabs = {}
            for name in ("first", "second"):
                with gr.Tab(name, id=name) as tabs[name]:
                    number = gr.Number()
        address.hold_tab(switch, tabs)
        address.hold("budget", number, [number], lambda text: [gr.Number(float(text))] if text.isdigit() else None)
        address.connect(page)
    tab, budget = address.restore({"tab": "second", "budget": "12", "unknown": "3"})
    assert tab.selected == "second" and budget.value == 12
    assert address.restore({"tab": "nowhere", "budget": "a lot"}) == [gr.skip(), gr.skip()]
    assert address.restore({}) == [gr.skip(), gr.skip()]
    assert all(function.api_visibility == "private" for function in page.fns.values() if function.fn is not None)
