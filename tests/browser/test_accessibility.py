"""What axe-core finds on every tab, by day and by night."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe

# Tab: what is there when it has been drawn.
TABS = {
    "Segment": "#views figure",
    "Compare": ".compare-row",
    "Results": ".js-plotly-plot .main-svg",
    "Annotation cost": "table.data",
    "About": "h2",
}
# What is closed at first on some of them.
CLOSED = {"Compare": "Columns, order, filters", "Results": "Filters"}
GRAVE = ("serious", "critical")


def grave(page) -> Iterator[str]:
    """What keeps somebody from using the page: rule, place and axe-core's words."""
    for violation in Axe().run(page).response["violations"]:
        if violation["impact"] in GRAVE:
            for node in violation["nodes"]:
                yield f"{violation['id']} {node['target']}: {node['failureSummary']}"


@pytest.fixture(scope="module", params=["light", "dark"])
def opened(request, visitor, server):
    page = visitor.new_page()
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(f"{server.address}/?__theme={request.param}")
    page.locator("#status", has_text="pixels").wait_for(timeout=60_000)
    yield page
    page.close()


@pytest.mark.parametrize("tab", TABS)
def test_nothing_serious_is_found(opened, tab):
    opened.get_by_role("tab", name=tab, exact=True).click()
    opened.locator(TABS[tab]).filter(visible=True).first.wait_for(timeout=60_000)
    if tab in CLOSED:
        opened.get_by_role("button", name=CLOSED[tab]).click()
    assert list(grave(opened)) == []


def test_that_test_can_fail(opened):
    opened.evaluate("document.querySelector('h1').style.cssText = 'color: #777; background: #888'")
    assert any(found.startswith("color-contrast") for found in grave(opened))
