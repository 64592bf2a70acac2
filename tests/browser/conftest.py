"""One server with tiny models and one Chromium for all browser tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, BrowserContext, Page, expect
from serving import Server, chromium, chromium_path, serve, slow_down

from simformer.cam import CamConfig
from simformer.checkpoint import build_network, save_checkpoint
from simformer.datasets.examples import list_examples
from simformer.model import ModelConfig
from simformer.splits import dataset_classes, load_split
from simformer.weights import Card

SLOW = 60_000  # milliseconds; a cold start on a busy machine
# Milliseconds that everything takes longer on the way to the page and back, in all tests that have none of their own.
LATENCY = float(os.environ.get("BROWSER_LATENCY", 0))
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder takes seconds. (The hook is given the tests of all folders.)"""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium. In CI it has to be there; elsewhere the tests are skipped without it."""
    if chromium_path() is None:
        missing = "no Chromium was found: install it, or name one in $CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    expect.set_options(timeout=SLOW)
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def visitor(browser) -> BrowserContext:
    """One for all tests: what the browser keeps of the page's files is loaded and compiled once."""
    return browser.new_context(accept_downloads=True)


@pytest.fixture
def window(visitor) -> Iterator[Callable[..., Page]]:
    """window(width=1440, height=1000) -> an empty page, closed after the test."""
    pages = []

    def new(width: int = 1440, height: int = 1000) -> Page:
        page = visitor.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.set_default_timeout(SLOW)
        if LATENCY:
            slow_down(page, LATENCY)
        return page

    yield new
    for page in pages:
        page.close()


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """Tiny random networks under the names of the shipped ones."""
    folder = tmp_path_factory.mktemp("weights")
    write_models(folder, "msrc21", {"split1": "s1", "split2": "s2", "oracle": "all_base", "cam": "s1"})
    return folder


def write_models(folder: Path, dataset: str, splits: Mapping[str, str]) -> None:
    """Tiny random networks of a data set's classes. splits: name -> split; "cam" is a CAM, others are SimFormers."""
    sizes = {"num_classes": len(dataset_classes(dataset)), "backbone": "test_efficientnet", "output_stride": 32}
    small = {"head_features": False, "pooled_class_logits": False, "width": 32, "queries": 6, "decoder_layers": 1}
    for seed, (name, split_name) in enumerate(splits.items()):
        torch.manual_seed(seed)
        split = load_split(dataset, split_name)
        config = CamConfig(**sizes) if name == "cam" else ModelConfig(**sizes, **small)
        card = Card(
            kind="cam" if name == "cam" else "simformer",
            architecture=config.model_dump(),
            classes=split.classes,
            roles=split.roles,
            dataset=dataset,
            split=split_name,
            image_size=64,
        )
        save_checkpoint(folder / f"{name}.safetensors", build_network(card).state_dict(), card)


@pytest.fixture(scope="session")
def two_datasets(browser, synthetic_results, tmp_path_factory) -> Iterator[Server]:
    """The server of a page with models of two data sets; one has no FullyOracle and no results."""
    folder = tmp_path_factory.mktemp("two")
    for dataset, splits in (("msrc21", {"s1": "s1", "oracle": "all_base"}), ("nyuv2", {"s2": "s2", "s3": "s3"})):
        (folder / dataset).mkdir()
        write_models(folder / dataset, dataset, {**splits, "cam": "s1"})
    photo = next(example.path for example in list_examples() if example.path is not None)
    with serve(folder, tmp_path_factory.mktemp("server-two"), results=synthetic_results) as running:
        # The first answer waits for torch to be imported, which on a busy machine lasts longer than any page's wait.
        Client(running.address, verbose=False).predict(handle_file(photo), api_name="/segment")
        yield running


@pytest.fixture(scope="session")
def server(browser, weights, synthetic_results, tmp_path_factory) -> Iterator[Server]:
    """The page's server with these models and results, run from a folder that is not the project's."""
    with serve(weights, tmp_path_factory.mktemp("server"), results=synthetic_results) as running:
        yield running


@pytest.fixture
def open_page(window, server) -> Callable[..., Page]:
    """open_page(width=1440, query="") -> the page, loaded, in a window of its own."""

    def open_one(width: int = 1440, query: str = "") -> Page:
        page = window(width)
        page.goto(f"{server.address}/{query}")
        page.get_by_role("tab", name="Segment").wait_for()
        return page

    return open_one
