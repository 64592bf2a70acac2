"""A small drawn data set, and settings of runs that take seconds."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from sweeping import Runs
from tiny import NOVEL, TINY

from simformer.cam import CamNetwork
from simformer.datasets.synthetic import write_scenes
from simformer.model import SimFormer
from train.config import TrainConfig
from train.tables import sweep
from train.tables.cells import Cell


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
    makers = {"tasks.SimFormer": SimFormer, "tasks.CamNetwork": CamNetwork, "pseudo.teacher.CamNetwork": CamNetwork}
    for place, network in makers.items():
        monkeypatch.setattr(f"train.{place}", functools.partial(untrained, network))


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """accelerate keeps one state per process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(autouse=True)
def few_pairs(monkeypatch):
    """A run's end asks about few pairs of photos."""
    monkeypatch.setattr("train.evaluation.transfer.PAIRS", 5)


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


@pytest.fixture
def table(settings, tmp_path):
    """Writes a table over a tiny configuration beside it; its path."""
    (tmp_path / "tiny.yaml").write_text(json.dumps(settings().model_dump(mode="json", exclude={"out"})))

    def write(*cells: dict, **settings_of_all) -> Path:
        path = tmp_path / "table.yaml"
        path.write_text(json.dumps({"config": "tiny.yaml", "settings": settings_of_all, "cells": list(cells)}))
        return path

    return write


@pytest.fixture
def runs(scenes, monkeypatch) -> Runs:
    runs = Runs(scenes)
    monkeypatch.setattr(Cell, "start", lambda cell, threads: runs.start(cell, threads))
    monkeypatch.setattr(sweep.time, "sleep", lambda seconds, sleep=time.sleep: sleep(0.01))
    monkeypatch.setattr(sweep.signal, "signal", lambda *_: None)
    return runs
