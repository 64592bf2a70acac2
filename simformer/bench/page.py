"""How soon the page answers after a cold start, and whether it holds many requests at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from simformer.errors import SimFormerError
from simformer.paths import APP

START_SECONDS = 120.0
POLL_SECONDS = 0.05
PHOTO_SIZE = (320, 240)


@dataclass(frozen=True)
class PageTimes:
    """Measurements of one server process.

    Attributes:
        first_page: seconds from the start of the process to the first page.
        first_answer: the same to the first photo's label map.
        requests, clients: photos segmented after that, and how many were asked for at a time.
        failures: requests that were not answered.
        seconds: for all requests together.
        memory_early, memory_end: resident memory, MiB, after the first `clients` requests and after the last.
    """

    first_page: float
    first_answer: float
    requests: int
    clients: int
    failures: int
    seconds: float
    memory_early: float
    memory_end: float


def measure_page(*, requests: int = 40, clients: int = 8) -> PageTimes:
    """Start `python app.py`, wait for the page and a first answer, then send requests from several clients at once.

    Raises:
        SimFormerError: the server does not start, or does not answer the first request.
    """
    from gradio_client import Client, handle_file

    with tempfile.TemporaryDirectory() as folder:
        # Each photo differs: an answer that is remembered would measure nothing.
        photos = [Path(folder) / f"{number}.png" for number in range(requests + 1)]
        for number, photo in enumerate(photos):
            noise = np.random.default_rng(number).integers(0, 256, (*PHOTO_SIZE[::-1], 3), dtype=np.uint8)
            Image.fromarray(noise).save(photo)
        with server(Path(folder)) as (process, address, started):
            first_page = time.monotonic() - started

            def ask(client: Client, photo: Path) -> bool:
                try:
                    client.predict(handle_file(str(photo)), api_name="/segment")
                except Exception:  # whatever a client may raise: the request was not answered
                    return False
                return True

            first = new_client(Client, address, folder)
            if not ask(first, photos[0]):
                raise SimFormerError("the page did not answer the first request: is a model shipped?")
            first_answer = time.monotonic() - started
            crowd = [new_client(Client, address, folder) for _ in range(clients)]
            begun = time.monotonic()
            answered, early = [], 0.0
            with ThreadPoolExecutor(clients) as pool:
                for start in range(0, requests, clients):
                    batch = photos[1 + start : 1 + start + clients]
                    answered += pool.map(ask, crowd[: len(batch)], batch)
                    early = early or memory(process)
            return PageTimes(
                first_page=first_page,
                first_answer=first_answer,
                requests=requests,
                clients=clients,
                failures=answered.count(False),
                seconds=time.monotonic() - begun,
                memory_early=early,
                memory_end=memory(process),
            )


@contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen, str, float]]:
    """A running page: (process, address, when it was started), once it has answered."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, str(APP), "--host", "127.0.0.1", "--port", str(port)]
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answers(address):
            if process.poll() is not None or time.monotonic() - started > START_SECONDS:
                raise SimFormerError(f"the page did not start: run {' '.join(command[1:])} to see why")
            time.sleep(POLL_SECONDS)
        yield process, address, started
    finally:
        end(process)


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def end(process: subprocess.Popen, seconds: float = 20) -> None:
    """Asks a process to end, and makes it end if it has not after so many seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def new_client(kind: type, address: str, folder: str):
    """A gradio_client.Client that keeps what it downloads in `folder`."""
    return kind(address, verbose=False, download_files=folder)


def memory(process: subprocess.Popen) -> float:
    """Resident memory of a process and its children, MiB."""
    family = psutil.Process(process.pid)
    return sum(member.memory_info().rss for member in [family, *family.children(recursive=True)]) / 2**20
