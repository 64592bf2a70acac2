"""Weights of tiny networks, random but seeded, so that no test needs a trained model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from simformer.cam import CamConfig
from simformer.checkpoint import build_network, save_checkpoint
from simformer.model import ModelConfig
from simformer.paths import ROOT
from simformer.weights import Card

CLASSES = ("sky", "grass", "cat")


def tiny_card(kind: str = "simformer", **changes) -> Card:
    sizes = {"num_classes": 3, "backbone": "test_efficientnet", "output_stride": 32}
    config = CamConfig(**sizes)
    if kind == "simformer":
        config = ModelConfig(
            **sizes, head_features=False, pooled_class_logits=False, width=32, queries=6, decoder_layers=1, heads=4,
            feed_forward=32,
        )  # fmt: skip
    fields = {
        "kind": kind,
        "architecture": config.model_dump(),
        "classes": CLASSES,
        "roles": ("base", "base", "novel"),
        "dataset": "custom",
        "split": "s1",
        "image_size": 64,
    }
    return Card(**{**fields, **changes})


@pytest.fixture(scope="session")
def make_card() -> Callable[..., Card]:
    """Card of a tiny network for three classes, the last of them novel: make_card(kind, **changed_fields)."""
    return tiny_card


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory) -> Path:
    """A weights folder with split1 and cam."""
    folder = tmp_path_factory.mktemp("weights")
    for name, kind in (("split1", "simformer"), ("cam", "cam")):
        torch.manual_seed(0)
        card = tiny_card(kind)
        save_checkpoint(folder / f"{name}.safetensors", build_network(card).state_dict(), card)
    return folder


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """Run code in a fresh interpreter and return what it prints."""

    def run(code: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def shipped(tiny_models, monkeypatch) -> Path:
    """The same folder, found by name as if these were the shipped models."""
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tiny_models))
    return tiny_models
