from __future__ import annotations

import pytest
import torch
import typer
from typer.testing import CliRunner

from simformer.checkpoint import build_network, save_checkpoint
from simformer.cli.examples import examples
from simformer.datasets.examples import example_scores
from simformer.errors import CheckpointError, SimFormerError
from simformer.predictor import Predictor
from simformer.splits import load_split


def run(*arguments):
    app = typer.Typer()
    app.command()(examples)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def weights(tmp_path, make_card):
    """Untrained networks for the classes of MSRC-21."""
    split = load_split("msrc21", "s1")
    known = {"classes": split.classes, "roles": split.roles, "dataset": "msrc21"}
    paths = []
    for name, kind in (("first", "simformer"), ("a_long_name", "cam")):
        architecture = make_card(kind).architecture | {"num_classes": len(split.classes)}
        card = make_card(kind, architecture=architecture, **known)
        torch.manual_seed(0)
        paths.append(tmp_path / f"{name}.safetensors")
        save_checkpoint(paths[-1], build_network(card).state_dict(), card)
    return paths


def test_a_row_a_photo_and_a_column_a_model(weights):
    result = run("--weights", weights[0], "--weights", weights[1], "--device", "cpu")
    assert result.exit_code == 0, result.output
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert head == ["photo", "first", "a_long_name"]
    for column, path in enumerate(weights, start=1):
        scores = example_scores(Predictor.load(path, "cpu"))
        assert {row[0]: row[column] for row in rows} == {photo: f"{s.miou:.1f}" for photo, s in scores.items()}
    assert len({len(line) for line in result.stdout.splitlines()}) == 1


def test_models_of_classes_that_nobody_outlined(shipped):
    result = run("--device", "cpu")
    assert isinstance(result.exception, SimFormerError)
    assert "nothing in the example photos is outlined" in str(result.exception)


def test_no_models(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    assert isinstance(run().exception, CheckpointError)
