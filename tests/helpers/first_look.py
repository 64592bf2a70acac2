"""Seconds until a visitor who clicks nothing sees an example segmented.

PYTHONPATH=. python tests/helpers/first_look.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import typer
from serving import chromium, serve

SLOW = 180_000  # milliseconds; a cold start on a busy machine


def main(visits: int = 3) -> None:
    """Start a server, and open its page in new visitors' browsers, one after the other."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, serve(None, Path(folder)) as server:
        for visit in range(visits):
            page = browser.new_context().new_page()
            opened = time.perf_counter()
            page.goto(server.address, timeout=SLOW)
            page.locator("[data-view=simformer] img").wait_for(timeout=SLOW)
            now = time.perf_counter()
            since = f", {now - begun:.1f} s after the server was started" if not visit else ""
            print(f"visit {visit + 1}: {now - opened:.1f} s from the address to the first segmented example{since}")
            page.context.close()


if __name__ == "__main__":
    typer.run(main)
