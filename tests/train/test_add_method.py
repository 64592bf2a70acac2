"""A method is added as docs/architecture.md says, in three files: it trains, is named, stands in tables and plots."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import NOVEL

from simformer.paths import ROOT

# Maps that are the same everywhere: of the classes of a photo, the first takes all that is left.
MAKER = """
from typing import Literal

import torch
from pydantic import BaseModel

from train.pseudo.photos import Photos


class FlatSettings(BaseModel):
    kind: Literal["flat"] = "flat"
    height: float = 0.5


class FlatMaps:
    def __init__(self, classifier, dataset, split, *, image_size, settings, seed):
        self.photos = Photos(classifier, dataset, split, image_size)
        self.settings, self.classes = settings, split.classes

    def __call__(self, index):
        maps = torch.zeros(len(self.classes), 4, 4)
        maps[list(self.photos.dataset.image_labels(index))] = self.settings.height
        return maps
"""


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"{path.name} has not one place for {new}"
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the packages to which the method Flat was added."""
    copy = tmp_path / "checkout"
    copied = shutil.ignore_patterns("__pycache__")
    for package in ("simformer", "train"):
        shutil.copytree(ROOT / package, copy / package, ignore=copied)
    row = '    Method("Flat", "#123456", "diamond-tall", Training(pseudo="flat")),\n'
    edit(copy / "simformer/results/methods.py", ('    Method("RETAB",', f'{row}    Method("RETAB",'))
    (copy / "train/pseudo/flat.py").write_text(MAKER)
    imported = "from train.pseudo.flat import FlatMaps, FlatSettings\n"
    edit(
        copy / "train/pseudo/kinds.py",
        ("from train.pseudo.cam", f"{imported}from train.pseudo.cam"),
        ("PredictionsSettings | ", "PredictionsSettings | FlatSettings | "),
        ('{"cam": CamMaps, ', '{"flat": FlatMaps, "cam": CamMaps, '),
    )
    return copy


@pytest.mark.slow
def test_a_method_in_three_files(checkout, settings, tmp_path):
    def python(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        done = subprocess.run([sys.executable, *words], cwd=checkout, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def train(name: str, *overrides: str) -> Path:
        values = settings(out=tmp_path / name, steps=1).model_dump(mode="json")
        (tmp_path / f"{name}.yaml").write_text(json.dumps(values))
        python("-c", TRAIN, str(tmp_path / f"{name}.yaml"), *overrides)
        return tmp_path / name

    cam = train("cam", "method=cam", 'model={"backbone": "test_efficientnet"}')
    teacher = cam / "weights.safetensors"
    flat = train("flat", "pseudo={kind: flat, height: 0.7}", "pairing=none", f"teacher={teacher}")
    (result,) = flat.glob("*.json")
    cell = json.loads(result.read_text())
    assert cell["method"] == "Flat" and cell["config"]["pseudo"] == {"kind": "flat", "height": 0.7}
    assert set(NOVEL) <= cell["scores"]["per_class"].keys()
    shown = python("-c", PLOTTED, str(flat))
    assert shown.split() == ["WSSS", "Flat", "RETAB", "#123456"]


# As `python -m train`, from random weights: nothing is downloaded.
TRAIN = """
import train.tasks as tasks
tasks.SimFormer, tasks.CamNetwork = (
    lambda config, pretrained, make=make: make(config, pretrained=False) for make in (tasks.SimFormer, tasks.CamNetwork)
)
from train.__main__ import app
app()
"""

PLOTTED = """
from simformer.results import METHOD_ORDER
from simformer.ui.results.plots import METHOD_COLORS
place = METHOD_ORDER.index("Flat")
print(METHOD_ORDER[place - 1].split()[0], "Flat", METHOD_ORDER[place + 1], METHOD_COLORS["Flat"])
"""
