"""The page's benchmark, on a real server with tiny networks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from simformer.bench import page as bench_page
from simformer.bench.page import PageTimes, measure_page, memory
from simformer.cli.bench import page_text
from simformer.errors import SimFormerError


@pytest.mark.slow
def test_a_server_is_started_asked_and_ended(shipped):
    times = measure_page(requests=3, clients=2)
    assert 0 < times.first_page < times.first_answer
    assert (times.requests, times.clients, times.failures) == (3, 2, 0)
    assert times.memory_early > 100  # MiB: Python with torch is never less
    assert times.memory_end > 100


def test_a_page_that_does_not_start_is_said(monkeypatch, tmp_path):
    broken = tmp_path / "app.py"
    broken.write_text("raise SystemExit(3)\n")
    monkeypatch.setattr(bench_page, "APP", broken)
    with pytest.raises(SimFormerError, match="did not start"):
        measure_page(requests=1, clients=1)


def test_memory_of_a_process_is_what_it_holds():
    code = "held = bytearray(64 * 2**20); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert 64 < memory(process) < 256
        process.communicate(b"\n")


def test_two_lines_of_text():
    text = page_text(PageTimes(3.21, 7.94, 40, 8, 0, 12.0, 900.0, 910.4))
    assert "3.2 s" in text and "7.9 s" in text and "0 failed" in text and "910 MiB" in text
