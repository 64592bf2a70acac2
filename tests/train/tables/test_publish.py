"""What is shipped with the app."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import torch

from simformer.checkpoint import load_checkpoint, save_checkpoint
from simformer.errors import CheckpointError, ConfigError
from simformer.expected_results import TOLERANCE, read_expected
from simformer.results import CellScores, GivenMasks, ResultCell, read_results, write_result
from simformer.splits import load_split
from simformer.weights import Card, opened
from train.tables import publish as module
from train.tables.publish import publish

SPLIT = load_split("msrc21", "s1")
SETTINGS = {"steps": 7, "seed": 0}


@pytest.fixture
def finished(tmp_path):
    """A finished run."""
    run = tmp_path / "run"
    facts = {"dataset": "msrc21", "split": "s1", "image_size": 64, "training": SETTINGS}
    facts["metrics"] = {"miou": 50.0, "base": 50.0, "novel": None}
    card = Card(kind="simformer", architecture={}, classes=SPLIT.classes, roles=SPLIT.roles, **facts)
    run.mkdir()
    save_checkpoint(run / "weights.safetensors", {"x": torch.ones(1)}, card)
    cell = ResultCell(
        method="SimFormer", dataset="msrc21", split="s1", seed=0, steps=7, images=5, pixels=9, config=SETTINGS,
        command="", commit="", device="", wall_seconds=1, date=datetime.now(UTC), schedule="t",
        scores=CellScores(miou=50.0, per_class=dict.fromkeys(SPLIT.classes, 50.0)),
    )  # fmt: skip
    write_result(cell, run)
    return run


def test_weights_and_result_are_shipped(finished, tmp_path):
    weights, result = publish(finished, "split1", tmp_path / "weights", tmp_path / "results")
    assert load_checkpoint(weights)[1].training == SETTINGS and weights == tmp_path / "weights/msrc21/s1.safetensors"
    assert [cell.weights for cell in read_results(result.parent)] == ["msrc21/s1.safetensors"]
    assert read_expected(weights.parent) == {"s1": [("miou", 50.0, TOLERANCE), ("base", 50.0, TOLERANCE)]}
    assert publish(finished, "msrc21/s1", tmp_path / "weights", tmp_path / "results")[0] == weights


def test_what_had_part_of_the_masks_is_not_shipped(finished, tmp_path):
    [cell] = read_results(finished)
    (finished / cell.file).unlink()
    write_result(cell.model_copy(update={"masks": GivenMasks(share=0.25)}), finished)
    with pytest.raises(ConfigError, match="was given part of the masks"):
        publish(finished, "split1", tmp_path / "weights", tmp_path / "results")
    assert not (tmp_path / "weights").exists()


def test_a_frozen_backbone_is_shipped_once(tmp_path, finished):
    weights = tmp_path / "weights"
    state = {"backbone.x": torch.arange(3.0), "head.x": torch.ones(1)}
    _, card = load_checkpoint(finished / "weights.safetensors")
    [cell] = read_results(finished)
    settings = SETTINGS | {"frozen_backbone": True}
    save_checkpoint(finished / "weights.safetensors", state, card.model_copy(update={"training": settings}))
    write_result(cell.model_copy(update={"config": settings}), finished)
    files = [publish(finished, name, weights, tmp_path / "results")[0] for name in ("s1", "again")]
    assert len(list(weights.glob("backbone-*"))) == 1
    for file in files:
        with opened(file, "pt") as content:
            assert list(content.keys()) == ["head.x"]
        assert load_checkpoint(file)[0].keys() == state.keys()


def test_what_is_refused_leaves_what_was_shipped(finished, tmp_path, monkeypatch):
    folders = tmp_path / "weights", tmp_path / "results"
    shipped = publish(finished, "split1", *folders)
    before = [path.read_bytes() for path in shipped]
    monkeypatch.setattr(module, "LARGEST", 10)
    with pytest.raises(CheckpointError, match="larger than"):
        publish(finished, "split1", *folders)
    monkeypatch.undo()
    [cell] = read_results(finished)
    write_result(cell.model_copy(update={"config": SETTINGS | {"steps": 8}}), finished)
    with pytest.raises(CheckpointError, match="different trainings: they differ in steps"):
        publish(finished, "split1", *folders)
    write_result(cell.model_copy(update={"seed": 3}), finished)
    with pytest.raises(CheckpointError, match="holds 2 results"):
        publish(finished, "split1", *folders)
    other, seed = tmp_path / "other", SETTINGS | {"seed": 3}
    other.mkdir()
    state, card = load_checkpoint(finished / "weights.safetensors")
    save_checkpoint(other / "weights.safetensors", state, card.model_copy(update={"training": seed}))
    write_result(cell.model_copy(update={"seed": 3, "config": seed}), other)
    with pytest.raises(ConfigError, match=r"msrc21/s1\.safetensors was trained with another seed and is not replaced"):
        publish(other, "split1", *folders)
    assert len(read_results(folders[1])) == 1
    assert [path.read_bytes() for path in shipped] == before


def test_a_result_of_other_settings_is_not_replaced(finished, tmp_path):
    folders = tmp_path / "weights", tmp_path / "results"
    [cell] = read_results(finished)
    write_result(cell.model_copy(update={"config": SETTINGS | {"seed": 1}}), folders[1])
    before = [path.read_bytes() for path in folders[1].iterdir()]
    with pytest.raises(ConfigError, match="was measured with another seed and is not replaced"):
        publish(finished, "split1", *folders)
    assert [path.read_bytes() for path in folders[1].iterdir()] == before and not folders[0].exists()


@pytest.mark.parametrize("name", [
    "", "split1.safetensors", "../split1", "nyuv2/s1", "..", "msrc21/", "msrc21/../s1", "msrc21/.s1", "backbone-1",
])  # fmt: skip
def test_a_name_that_is_none(finished, tmp_path, name):
    with pytest.raises(ConfigError, match=r"is not a name of a model|was trained on msrc21"):
        publish(finished, name, tmp_path / "weights", tmp_path / "results")
    assert not (tmp_path / "weights").exists()
