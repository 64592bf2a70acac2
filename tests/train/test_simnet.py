"""What SimNet is asked, and what is said of its answers."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

from simformer.datasets.folder import FolderDataset
from simformer.datasets.transforms import TrainTransform
from simformer.errors import ConfigError
from simformer.similarity import PixelSimilarity
from train import simnet
from train.engine import train
from train.simnet import Judgement, ask, judge, summary


class Colors(nn.Module):
    """In the place of a task: an embedding is the mean color of 4 x 4 pixels, the answer whether two are close."""

    def __init__(self, wrong: bool = False):
        super().__init__()
        self.network = SimpleNamespace(pixel_embeddings=lambda images: nn.functional.avg_pool2d(images, 4))
        self.similarity = SimpleNamespace(teacher=lambda a, b: (torch.cdist(a, b) < 30).float().sub(float(wrong)).abs())


def sample(*colors: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A photo of columns 16 pixels wide and its truth: color 100 is class 1, 200 class 2, all others nothing."""
    photo = torch.tensor(colors, dtype=torch.uint8).repeat_interleave(16).expand(3, 16 * len(colors), -1)
    labels = torch.full(photo.shape[1:], 255, dtype=torch.uint8)
    labels[photo[0] == 100], labels[photo[0] == 200] = 1, 2
    return photo.contiguous(), labels


WHOLE = TrainTransform(32, (1.0, 1.0), flip=False, photometric=False)


def test_only_pixels_of_the_classes_are_asked_about():
    answers, same = ask(Colors(), [sample(100, 0), sample(100, 200)], [1, 2], WHOLE, 10)
    assert answers.shape == same.shape == (100,)
    assert np.array_equal(answers > 0.5, same) and 0 < same.sum() < 100
    _, same = ask(Colors(), [sample(100, 0), sample(100, 200)], [1], WHOLE, 10)
    assert same.all()
    assert ask(Colors(), [sample(100, 0), sample(0, 200)], [1], WHOLE, 10) is None


def test_answers_by_hand():
    same = np.array([True, True, True, False, False])
    found = summary(np.array([0.9, 0.8, 0.3, 0.6, 0.1], dtype=np.float32), same)
    assert found == Judgement(3, 2, pytest.approx(2 / 3), pytest.approx(1 / 2), pytest.approx(5 / 6))
    assert summary(np.array([0.9]), np.array([True])) == Judgement(1, 0, 1.0, None, None)


def test_who_is_always_wrong_is_found_out(scenes, settings):
    dataset = FolderDataset(scenes)
    config = settings()
    right, wrong = (
        judge(Colors(wrong), dataset, range(len(dataset.classes)), config, pairs=5) for wrong in (False, True)
    )
    assert (wrong.same, wrong.different) == (right.same, right.different)
    assert wrong.same_found == pytest.approx(1 - right.same_found)
    assert wrong.auc == pytest.approx(1 - right.auc)


def test_classes_that_no_two_photos_share(scenes, settings):
    with pytest.raises(ConfigError, match=r"no two photos of .* share one of the classes"):
        judge(Colors(), FolderDataset(scenes), [], settings())


@pytest.fixture
def command(settings, tmp_path):
    """command(key=value, ...) -> what the command says of a run of these settings."""
    app = typer.Typer()
    app.command()(simnet.main)

    def run(**changes):
        path = tmp_path / "run.json"
        path.write_text(json.dumps(settings(val_list="train.txt", **changes).model_dump(mode="json")))
        return CliRunner().invoke(app, [str(path), "--pairs", "3"])

    return run


def test_a_run_is_judged_with_its_own_simnet(command, settings, monkeypatch):
    train(settings(val_list="train.txt", steps=1))
    weights = torch.load(settings().out / "state.pt", weights_only=True)["task"]["similarity.simnet.head.weight"]
    asked = []

    def teacher(similarity, a, b):
        asked.append(torch.equal(similarity.simnet.head.weight, weights))
        return torch.full((len(a), a.shape[1], b.shape[1]), 0.7)

    monkeypatch.setattr(PixelSimilarity, "teacher", teacher)
    result = command(steps=1)
    assert result.exit_code == 0, result.output
    base, novel = result.output.splitlines()
    assert base.startswith("base: ") and novel.startswith("novel: ")
    assert "100% called so" in base and asked and all(asked)


@pytest.mark.parametrize("changes, words", [
    ({}, "there is no .*state.pt"),
    ({"pairing": "none"}, "this run has no SimNet"),
    ({"method": "cam", "model": {"backbone": "test_efficientnet"}}, "this run has no SimNet"),
])  # fmt: skip
def test_runs_without_simnet(command, changes, words):
    result = command(**changes)
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert re.search(words, result.stderr)
