"""A real server process and a real Chromium, for the browser tests and for the screenshots."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from simformer.bench.page import answers, end, free_port
from simformer.paths import ROOT

# The first has no windows to draw around the pages: a third less work.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The browser stays quiet and off the network; the sandbox is not available to root in containers.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 120
# Gradio logs this of a page that left while one of its events was being answered: it looks for the visitor's messages
# after it has thrown them away.
_ON = r"(?:(?!ERROR: ).)*?"
LEFT = re.compile(
    rf"ERROR: +Exception in ASGI application\n{_ON}in sse_stream\n{_ON}"
    rf"(?:fastapi.exceptions.HTTPException: 404: Not Found\n{_ON}response already started\.|KeyError: '\w+')\n",
    re.DOTALL,
)


def chromium_path() -> str | None:
    """The installed Chromium; $CHROMIUM names another one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Server:
    """A running server: its address, and the file it logs to."""

    address: str
    log: Path

    def unfailing(self) -> bool:
        """No error was logged, other than Gradio's own about visitors that left."""
        return "Traceback" not in LEFT.sub("", self.log.read_text())


@contextmanager
def serve(
    weights: Path | None, folder: Path, arguments: Sequence[str] = (), results: Path | None = None
) -> Iterator[Server]:
    """A server process of its own.

    Args:
        weights: folder of weights; None takes those of the project.
        folder: where the process runs (it must work from any folder) and keeps its log and temporary files.
        arguments: further words of app.py's command line.
        results: folder of results; None takes those of the project.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "files"), "GRADIO_ANALYTICS_ENABLED": "False"}
    if weights is not None:
        environment["SIMFORMER_WEIGHTS"] = str(weights)
    if results is not None:
        environment["SIMFORMER_RESULTS"] = str(results)
    command = [sys.executable, str(ROOT / "app.py"), "--host", "127.0.0.1", "--port", str(port), *arguments]
    with (folder / "server.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(address, process, Path(log.name))
            yield Server(address, Path(log.name))
        finally:
            end(process)


def slow_down(page: Page, milliseconds: float) -> None:
    """From now on everything that the page sends and gets takes so much longer."""
    emulate = {"offline": False, "latency": milliseconds, "downloadThroughput": -1, "uploadThroughput": -1}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", emulate)


def _wait(address: str, process: subprocess.Popen, log: Path) -> None:
    latest = time.monotonic() + START_SECONDS
    while time.monotonic() < latest:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended at once:\n{log.read_text()}")
        if answers(address):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the server did not answer within {START_SECONDS} s:\n{log.read_text()}")
