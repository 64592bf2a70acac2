"""Tiny models behind the page, and photos to show them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from simformer.checkpoint import build_network, save_checkpoint
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.models import Models


@pytest.fixture(scope="session")
def page_weights(tmp_path_factory, make_card) -> Path:
    """A weights folder with two splits, CAM and FullyOracle of three classes."""
    folder = tmp_path_factory.mktemp("page-weights")
    roles = {
        "split1": ("base", "base", "novel"),
        "split2": ("novel", "base", "base"),
        "oracle": ("base",) * 3,
        "cam": ("novel",) * 3,
    }
    for seed, (name, of_classes) in enumerate(roles.items()):
        torch.manual_seed(seed)
        card = make_card("cam" if name == "cam" else "simformer", roles=of_classes, split=name)
        save_checkpoint(folder / f"{name}.safetensors", build_network(card).state_dict(), card)
    return folder


@pytest.fixture(autouse=True)
def loading_ends(monkeypatch) -> Iterator[None]:
    """With its test ends the loading of models: a network that is built draws from torch's random numbers."""
    started, start = [], Models._start
    monkeypatch.setattr(Models, "_start", lambda models: (started.append(models), start(models))[1])
    yield
    for models in started:
        models.close()


@pytest.fixture
def models(page_weights, monkeypatch) -> Models:
    """The models of `page_weights`, being loaded."""
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(page_weights))
    models = Models()
    models.start()
    return models


@pytest.fixture
def photo_file(tmp_path) -> Path:
    """A photo of 120 x 80 pixels: left half blue, right half noise."""
    pixels = np.random.default_rng(0).integers(0, 255, (80, 120, 3), dtype=np.uint8)
    pixels[:, :60] = (60, 120, 230)
    path = tmp_path / "holiday.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def lay_out() -> Callable[..., gr.Blocks]:
    """lay_out(build, models=, **shared) -> a page whose only tab `build` has laid out."""

    def lay_out(build: Callable[[PageContext], None], models: Models | None = None, **shared: Any) -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as page:
            sent = gr.State(None)
            with gr.Tabs() as tabs, gr.Tab("One") as tab:
                build(PageContext(page, models or Models(()), tabs, tab, sent, **shared))
        return page

    return lay_out
