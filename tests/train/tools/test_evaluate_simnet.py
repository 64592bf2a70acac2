"""The command that says how well a run's teacher and student tell pairs of pixels apart."""

from __future__ import annotations

import json
import re

import pytest
import torch
import typer
from typer.testing import CliRunner

from simformer.similarity import PixelSimilarity
from train.engine import train
from train.tools import evaluate_simnet as simnet


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
    lines = result.output.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "teacher, novel", "teacher, base", "student, novel", "student, base",
    ]  # fmt: skip
    assert "100% called so" in lines[1] and asked and all(asked)


def test_a_run_is_judged_with_its_own_teacher_of_pixels(command, settings, monkeypatch):
    changes = {"distill_from": "partial_labels", "partial_labels": {"steps": 5}, "steps": 1}
    train(settings(val_list="train.txt", **changes))
    monkeypatch.setattr("train.pseudo.partial_labels.PartialLabelTeacher.fit", None)  # it is not trained again
    result = command(**changes)
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.output.splitlines() if "teacher" in line.split(",")[0]] == [
        "teacher, novel", "teacher, base",
    ]  # fmt: skip


def test_without_a_teacher_the_student_alone_answers(command, settings):
    train(settings(val_list="train.txt", steps=1, pairing="none"))
    result = command(steps=1, pairing="none")
    assert [line.split(":")[0] for line in result.output.splitlines()] == ["student, novel", "student, base"]


@pytest.mark.parametrize("changes, words", [
    ({}, "there is no .*state.pt"),
    ({"novel": [], "pairing": "none"}, "only runs of method=simformer with novel classes"),
    ({"method": "cam", "model": {"backbone": "test_efficientnet"}}, "only runs of method=simformer"),
])  # fmt: skip
def test_runs_that_transfer_nothing(command, changes, words):
    result = command(**changes)
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert re.search(words, result.stderr)
