"""A small drawn data set, and settings of runs that take seconds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from tiny import NOVEL, TINY

from simformer.cam import CamNetwork
from simformer.datasets.synthetic import write_scenes
from simformer.model import SimFormer
from train.config import TrainConfig


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> Path:
    """Ten drawn scenes, two of them in val.txt."""
    return write_scenes(tmp_path_factory.mktemp("scenes"), 10, size=(40, 56))


def untrained(network, config, *, pretrained=True):
    """The network without ImageNet weights, whoever asks for them."""
    return network(config, pretrained=False)


@pytest.fixture(autouse=True)
def nothing_is_downloaded(monkeypatch):
    """Networks made in this process start from random weights."""
    for name, network in (("SimFormer", SimFormer), ("CamNetwork", CamNetwork)):
        monkeypatch.setattr(f"train.tasks.{name}", functools.partial(untrained, network))


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """accelerate keeps one state per process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def settings(scenes, tmp_path) -> Callable[..., TrainConfig]:
    """Settings of a tiny run: settings(key=value, ...)."""

    def make(**changes) -> TrainConfig:
        values = {
            "data": scenes, "novel": NOVEL, "model": TINY, "crop": 64, "image_size": 64, "batch": 2, "steps": 2,
            "points": 10, "simnet_width": 16, "workers": 0, "out": tmp_path / "run",
        }  # fmt: skip
        return TrainConfig(**{**values, **changes})

    return make
