"""What axe-core finds on a page."""

from __future__ import annotations

from collections.abc import Iterator

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

GRAVE = ("serious", "critical")


def grave(page: Page) -> Iterator[str]:
    """What keeps somebody from using the page: rule, place and axe-core's words."""
    for violation in Axe().run(page).response["violations"]:
        if violation["impact"] in GRAVE:
            for node in violation["nodes"]:
                yield f"{violation['id']} {node['target']}: {node['failureSummary']}"
