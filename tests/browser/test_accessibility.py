"""What axe-core finds on every tab: by day and by night, on a phone, on the page of another data set.

Own data is looked at in test_own_data.py: only with --data there is that tab.
"""

from __future__ import annotations

import pytest
from accessibility import grave
from playwright.sync_api import expect

# Tab: what is there when it has been drawn.
TABS = {
    "Segment": "#views figure",
    "Compare": ".compare-row",
    "Results": ".js-plotly-plot .main-svg, #results-notes p",
    "Annotation cost": "table.data",
    "About": "h2",
}
# What is closed at first on some of them.
CLOSED = {"Compare": "Columns, order, filters", "Results": "Filters"}
# What Gradio shows faintly, or without a name, until an answer is there.
BUSY = ".pending, .empty[aria-label]"


@pytest.fixture(
    scope="module",
    params=[("server", "", "light", 1440), ("server", "", "dark", 390), ("two_datasets", "nyuv2", "dark", 1440)],
    ids=lambda param: "-".join(map(str, param[1:])),
)
def opened(request, visitor):
    server, path, theme, width = request.param
    page = visitor.new_page()
    page.set_viewport_size({"width": width, "height": 1000})
    page.goto(f"{request.getfixturevalue(server).address}/{path}?__theme={theme}")
    page.locator("#status", has_text="pixels").wait_for(timeout=60_000)
    yield page
    page.close()


@pytest.mark.parametrize("tab", TABS)
def test_nothing_serious_is_found(opened, tab):
    opened.get_by_role("tab", name=tab, exact=True).click()
    opened.locator(TABS[tab]).filter(visible=True).first.wait_for(timeout=60_000)
    if tab in CLOSED:
        opened.get_by_role("button", name=CLOSED[tab]).click()
    expect(opened.locator(BUSY).filter(visible=True)).to_have_count(0)
    assert list(grave(opened)) == []


def test_that_test_can_fail(opened):
    opened.evaluate("document.querySelector('h1').style.cssText = 'color: #777; background: #888'")
    assert any(found.startswith("color-contrast") for found in grave(opened))
