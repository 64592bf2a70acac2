"""A training that is begun on the page, and the page that ends."""

from __future__ import annotations

import json

import psutil
import pytest
from playwright.sync_api import expect
from serving import serve

from simformer.datasets.synthetic import write_scenes


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """begun() -> the process of the training that was begun last; the trainings lie in a folder of the test's own."""
    monkeypatch.setenv("SIMFORMER_RUNS", str(tmp_path / "runs"))
    return lambda: psutil.Process(json.loads((tmp_path / "runs" / "job.json").read_text())["pid"])


def opened(page, server):
    """The page with its first plan, after which its controls stay where they are."""
    page.goto(f"{server.address}/?tab=costs")
    page.locator("#cost-plan tbody tr").first.wait_for()


def test_a_page_that_is_told_to_end_saves_its_training_and_the_next_page_goes_on(window, weights, begun, tmp_path):
    data = ["--data", str(write_scenes(tmp_path / "scenes", 6, size=(48, 64)))]
    page = window()
    with serve(weights, tmp_path, data) as server:
        opened(page, server)
        page.locator("#measure-train").click()
        page.locator("#measure-stop").wait_for()
        training = begun()
        assert training.is_running()
    # The server was sent SIGTERM.
    assert not psutil.pid_exists(training.pid)
    with serve(weights, tmp_path, data) as server:
        opened(page, server)
        expect(page.locator("#measure-progress")).to_contain_text("Stopped.")
        page.locator("#measure-resume").click()
        page.locator("#measure-stop").wait_for()
        training = begun()
        assert training.is_running()
    assert not psutil.pid_exists(training.pid)
