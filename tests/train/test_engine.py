"""Whole runs: stopped and resumed, every method, and what a run leaves behind."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TINY
from typer.testing import CliRunner

from simformer.checkpoint import load_checkpoint
from simformer.datasets.folder import FolderDataset
from simformer.errors import DatasetError, SimFormerError
from simformer.paths import ROOT
from simformer.predictor import Predictor
from simformer.results import read_results
from train import engine
from train.__main__ import app
from train.config import load_config
from train.engine import Interrupted, train
from train.runtime import processes
from train.runtime.processes import StopSignal
from train.tables.provenance import result_cell

MODELS = {"simformer": TINY, "cam": {"backbone": TINY["backbone"]}}


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(out / "weights.safetensors")[0]


def saved(out: Path) -> dict:
    return torch.load(out / "state.pt", weights_only=True)


def equal(first, second) -> bool:
    """Bit-equal tensors in equal nests."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return first == second


def stop_after(monkeypatch, step: int) -> None:
    """A SIGTERM comes during this step."""
    asked = iter([0] * (step - 1) + [signal.SIGTERM])
    monkeypatch.setattr(StopSignal, "agreed", lambda self, accelerator: next(asked, 0))


# --- resuming ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simformer", "cam"])
def test_a_resumed_run_is_bit_equal(settings, tmp_path, monkeypatch, method):
    options = {"method": method, "steps": 12, "learning_rate": 1e-3, "clip": 1.0, "model": MODELS[method]}
    train(settings(**options, out=tmp_path / "whole"))
    halves = settings(**options, out=tmp_path / "halves")
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        with pytest.raises(Interrupted) as caught:
            train(halves)
    assert caught.value.code == 143
    assert saved(halves.out)["step"] == 6 and not (halves.out / "weights.safetensors").exists()
    train(halves, resume=True)
    whole, resumed = saved(tmp_path / "whole"), saved(halves.out)
    assert whole["step"] == resumed["step"] == 12
    for part in ("task", "optimizer", "schedule"):
        assert equal(whole[part], resumed[part]), part
    assert equal(weights(tmp_path / "whole"), weights(halves.out))


def test_that_test_can_fail(settings, tmp_path):
    runs = [
        settings(steps=3, learning_rate=1e-3, seed=seed, out=tmp_path / name) for seed, name in ((0, "a"), (1, "b"))
    ]
    for config in runs:
        train(config)
    assert not equal(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_evaluating_on_the_way_changes_nothing(settings, tmp_path, monkeypatch):
    evaluated = []
    evaluate = engine.evaluate_task
    monkeypatch.setattr(engine, "evaluate_task", lambda *given: (evaluated.append(1), evaluate(*given))[1])
    train(settings(steps=4, out=tmp_path / "a"))
    train(settings(steps=4, evaluate_every=2, out=tmp_path / "b"))
    assert len(evaluated) == 1 + 2
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_results_note_the_time_of_the_steps_alone(settings, monkeypatch):
    clock = [0.0]
    evaluate = engine.evaluate_task
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(engine, "evaluate_task", lambda *given: (clock.append(clock.pop() + 60), evaluate(*given))[1])
    assert train(settings(steps=3, evaluate_every=1)).wall_seconds == 0
    assert clock == [180]


@pytest.mark.parametrize("exact", [False, True])
def test_a_run_is_scored_as_its_settings_say(settings, monkeypatch, exact):
    asked = []

    def predictor(*given, inference):
        asked.append(inference.exact)
        return Predictor(*given, inference=inference)

    monkeypatch.setattr(engine, "Predictor", predictor)
    assert train(settings(steps=1, exact=exact)).scores.miou is not None
    assert asked == [exact]


def test_without_resume_a_run_starts_again(settings, tmp_path):
    train(settings(steps=2))
    first = weights(tmp_path / "run")
    train(settings(steps=2))
    assert equal(first, weights(tmp_path / "run"))
    assert train(settings(steps=2), resume=True).wall_seconds >= 0  # nothing is left to do


def write_config(path: Path, config) -> Path:
    """JSON is YAML."""
    path.write_text(json.dumps(config.model_dump(mode="json")))
    return path


@pytest.mark.slow
def test_sigterm_saves_before_leaving(settings, tmp_path, capsys):
    """In a process of its own, through the command line, with the default backbone's ImageNet weights."""
    options = {
        "crop": 32,
        "image_size": 32,
        "steps": 30,
        "workers": 1,
        "checkpoint_every": 1000,
        "frozen_backbone": True,
    }
    model = {"width": 32, "decoder_layers": 1, "queries": 5, "heads": 4}
    config = write_config(tmp_path / "config.yaml", settings(model=model, **options))
    log = tmp_path / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "train", str(config)],
            cwd=ROOT,
            stdout=file,
            stderr=file,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        while process.poll() is None and "/30 [" not in log.read_text().replace(" 0/30 [", ""):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)  # the processes that load photos get it too
        assert process.wait(timeout=200) == 143, log.read_text()
    step = saved(tmp_path / "run")["step"]
    assert 0 < step < 30
    assert not list((tmp_path / "run").glob(".*.tmp"))
    train(load_config(config), resume=True)
    assert f" {step}/30" in capsys.readouterr().err
    assert saved(tmp_path / "run")["step"] == 30


def test_a_short_run_logs_its_last_step(settings, tmp_path):
    train(settings(steps=3))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss/dice")] == [3]


def test_the_data_sets_labels_are_digested_once(settings, monkeypatch):
    digested = []
    digest = FolderDataset.labels_digest.func

    def count(dataset: FolderDataset) -> str:
        digested.append(dataset)
        return digest(dataset)

    counting = functools.cached_property(count)
    counting.__set_name__(FolderDataset, "labels_digest")
    monkeypatch.setattr(FolderDataset, "labels_digest", counting)
    train(settings(pseudo="partial_labels", distill_from="partial_labels", partial_labels={"steps": 2}, steps=1))
    assert len(digested) == 1


# --- methods ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes, method", [
    ({"pairing": "cross"}, "SimFormer"),
    ({"pairing": "self", "loss_resolution": "prediction"}, "Self-Pair"),
    ({"pairing": "none", "batch": 3, "channels_last": True}, "Basic Model"),
    ({"label_rule": "crop", "distillation": "ce", "precision": "bf16"}, "SimFormer"),
    ({"label_rule": "crop", "simnet_statistics": "batch", "student_pairs": "within", "distill_padding": True,
      "candidate_caps": (500, 50), "scale_step": 0.1, "long_side": 80}, "SimFormer"),
    ({"novel": None, "split": "all_base", "frozen_backbone": True}, "FullyOracle"),
    ({"method": "cam", "batch": 3, "model": MODELS["cam"]}, "CAM"),
])  # fmt: skip
def test_every_method_trains(settings, changes, method):
    config = settings(**changes)
    outcome = train(config)
    cell = result_cell(config, outcome, "command")
    assert cell.method == method
    assert cell.scores.miou is not None and cell.images == 2
    assert (cell.scores.novel is None) == (method in ("CAM", "FullyOracle"))
    assert all(value.isfinite().all() for value in weights(config.out).values())


def test_diverged_training_is_one_sentence(settings):
    with pytest.raises(SimFormerError, match="lower the learning rate"):
        train(settings(steps=60, learning_rate=1e30, clip=1e30))


# --- what a run leaves ------------------------------------------------------------------------------------


def run(config: Path, *arguments: str):
    return CliRunner().invoke(app, [str(config), *arguments])


def test_a_run_leaves_weights_and_a_result(settings, tmp_path):
    config = write_config(tmp_path / "tiny.yaml", settings())
    result = run(config, "seed=3", "model.width=64", "split=mine")
    assert result.exit_code == 0, result.output
    problems = []
    [cell] = read_results(tmp_path / "run", report=problems.append)
    assert not problems and result.stdout.startswith("SimFormer, split mine: mIoU")
    assert str(tmp_path / "run" / cell.file) in result.output
    assert (cell.seed, cell.steps, cell.points, cell.schedule, cell.label_rule) == (3, 2, 10, "default", "strict")
    assert cell.config["model"]["width"] == 64
    assert cell.novel == ["sky", "disc", "star"] and cell.images == 2
    assert cell.command.endswith("data=DATA seed=3 model.width=64 split=mine") and "tiny.yaml" in cell.command
    predictor = Predictor.load(tmp_path / "run" / "weights.safetensors", "cpu")
    assert predictor.card.step == 2 and predictor.card.training["seed"] == 3
    assert predictor.card.metrics["miou"] == pytest.approx(cell.scores.miou)
    segmentation = predictor.segment(torch.full((40, 56, 3), 200, dtype=torch.uint8).numpy())
    assert segmentation.labels.shape == (40, 56) and segmentation.roles.count("novel") == 3
    assert list((tmp_path / "run" / "tensorboard").iterdir())


@pytest.mark.parametrize("argument, words", [
    ("learning_rat=1", "learning_rat"),
    ("model.widht=64", "model: widht"),
    ("data=/no/such/folder", "/no/such/folder"),
    ("novel=[unicorn]", "unicorn"),
    ("batch=3", "batch must be even"),
    ("model.backbone=no_such_net", "no_such_net"),
])  # fmt: skip
def test_a_wrong_setting_is_one_sentence(settings, tmp_path, argument, words):
    result = run(write_config(tmp_path / "tiny.yaml", settings()), argument)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and words in result.output and result.output.count("\n") == 1


def test_other_settings_are_refused_on_resume(settings, tmp_path):
    config = write_config(tmp_path / "tiny.yaml", settings())
    assert run(config).exit_code == 0
    result = run(config, "seed=1", "--resume")
    assert result.exit_code == 1 and "was saved with seed=0, this run has seed=1" in result.output
    assert run(config, "workers=1", "evaluate_every=5", "--resume").exit_code == 0


def test_another_training_is_not_overwritten(settings, tmp_path):
    config = write_config(tmp_path / "tiny.yaml", settings())
    assert run(config).exit_code == 0
    before = (tmp_path / "run" / "weights.safetensors").read_bytes()
    result = run(config, "seed=5")
    assert result.exit_code == 1 and "weights.safetensors was saved with seed=0, this run has seed=5" in result.output
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == before
    assert run(config).exit_code == 0  # the same one may be begun again
    left = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert run(config, "hold_out=0.25").exit_code == 1
    assert left == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def test_photos_to_evaluate_on_need_label_maps(settings, scenes, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(scenes, data)
    names = (data / "val.txt").read_text().split()
    for name in names:
        path = data / "labels" / f"{name}.png"
        Image.new("L", Image.open(path).size, 255).save(path)
    with pytest.raises(DatasetError, match="no pixel of the label maps"):
        train(settings(data=data))
    assert (tmp_path / "run" / "weights.safetensors").is_file()  # the training is not lost
    for name in names:
        (data / "labels" / f"{name}.png").unlink()
    (data / "image_labels.csv").write_text("photo,class\n" + "".join(f"{name},sky\n" for name in names))
    with pytest.raises(DatasetError, match="to evaluate on has a label map"):
        train(settings(data=data, out=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(settings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SimFormerError, match="cannot be made"):
        train(settings(out=tmp_path / "file"))
    for changes in (
        {"hold_out": 0.25},
        {"pseudo": "partial_labels", "pairing": "none", "partial_labels": {"steps": 1}},
    ):
        with pytest.raises(SimFormerError, match="cannot be made"):
            train(settings(out=tmp_path / "file" / "below", **changes))


def test_held_out_photos_and_val_never_meet(settings, scenes, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    (root / "val.txt").unlink()
    outcome = train(settings(data=root, hold_out=0.25))
    assert outcome.scores.images == 2  # a quarter of the eight photos in train.txt
    cell = result_cell(settings(data=root, hold_out=0.25), outcome, "command")
    assert cell.schedule == "default_held_out"
    with pytest.raises(SimFormerError, match=r"val\.txt"):
        train(settings(data=root))


@pytest.mark.parametrize("changes", [{"novel": []}, {"novel": None, "split": "all_base", "pairing": "none"}])
def test_without_a_novel_class_nobody_is_asked_for_masks(settings, changes):
    config = settings(pseudo="partial_labels", distill_from="partial_labels", **changes)
    with ExitStack() as held:
        run = engine.prepare(config, False, held)
    assert run.teacher is None and run.task.similarity is None
    assert sorted(path.name for path in config.out.iterdir() if "pseudo" in path.name or "teacher" in path.name) == []


@pytest.mark.parametrize("pairing", ["none", "cross"])
def test_a_run_with_a_teacher_of_pixels_goes_on_bit_equal(settings, tmp_path, monkeypatch, pairing):
    changes = {"pseudo": "partial_labels", "pairing": pairing, "partial_labels": {"steps": 20}, "steps": 4}
    changes |= {"distill_from": "partial_labels"} if pairing == "cross" else {}
    whole = settings(out=tmp_path / "whole", **changes)
    train(whole)
    parts = settings(out=tmp_path / "parts", **changes)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Interrupted):
            train(parts)
    monkeypatch.setattr("train.pseudo.partial_labels.PartialLabelTeacher.fit", None)  # what was learnt is kept
    train(parts, resume=True)
    assert equal(weights(whole.out), weights(parts.out))


def test_a_network_that_leans_on_dropout_is_named(settings, monkeypatch, capsys):
    monkeypatch.setattr(engine, "warning", lambda health: "this network leans on dropout")
    train(settings())
    assert "warning: this network leans on dropout\n" in capsys.readouterr().err


def test_no_novel_class_says_that_it_trains_an_oracle(settings, capsys):
    for changes, told in (({"novel": []}, 1), ({"novel": [], "split": "all_base"}, 0), ({}, 0)):
        engine.prepare(settings(**changes), False, ExitStack())
        assert capsys.readouterr().err.count("this trains FullyOracle") == told
