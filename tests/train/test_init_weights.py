"""Runs that start from given weights."""

from __future__ import annotations

import pytest
import torch
from tiny import NOVEL, TINY

from simformer.checkpoint import build_network, save_checkpoint
from simformer.datasets.synthetic import SYNTHETIC_CLASSES
from simformer.errors import CheckpointError
from simformer.splits import custom_split
from train.engine import train
from train.init_weights import start_from
from train.tasks import make_card, make_task

SPLIT = custom_split(SYNTHETIC_CLASSES, NOVEL)
HEADS = ("class_head.", "pooled_class_head.", "classifier.")


@pytest.fixture
def weights(settings, tmp_path):
    """weights(split, **settings) -> a weights file of random weights, and its tensors."""

    def write(split=SPLIT, **changes):
        torch.manual_seed(7)
        config = settings(**changes)
        card = make_card(make_task(config, split), config, split)
        state = build_network(card).state_dict()
        path = tmp_path / "start.safetensors"
        save_checkpoint(path, state, card, dtype=torch.float32)
        return path, state

    return write


def test_all_weights_are_taken(settings, weights):
    path, state = weights()
    task = make_task(settings(), SPLIT)
    start_from(task, SPLIT.classes, path)
    found = task.network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("names", [("one", "two"), tuple(f"other {name}" for name in SPLIT.classes)])
@pytest.mark.parametrize("method, model", [("simformer", TINY), ("cam", {"backbone": TINY["backbone"]})])
def test_with_other_classes_all_but_the_class_heads(settings, weights, method, model, names):
    path, state = weights(custom_split(names, names[1:2]), method=method, model=model)
    task = make_task(settings(method=method, model=model), SPLIT)
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    start_from(task, SPLIT.classes, path)
    for name, tensor in task.network.state_dict().items():
        assert torch.equal(tensor, before[name] if name.startswith(HEADS) else state[name]), name


def test_a_run_starts_there(settings, weights):
    path, state = weights()
    config = settings(init=path, steps=1, learning_rate=1e-9, frozen_backbone=True)
    train(config)
    found = torch.load(config.out / "state.pt", weights_only=True)["task"]
    for name, tensor in state.items():
        torch.testing.assert_close(found[f"network.{name}"], tensor, atol=1e-6, rtol=1e-6)
    path.unlink()  # a run that is under way needs it no more
    train(config, resume=True)


def test_weights_that_do_not_fit(settings, weights, tmp_path):
    with pytest.raises(CheckpointError, match="there is no weights file"):
        start_from(make_task(settings(), SPLIT), SPLIT.classes, tmp_path / "missing.safetensors")
    path, _ = weights()
    wider = make_task(settings(model=TINY | {"width": 64}), SPLIT)
    with pytest.raises(CheckpointError, match=r"start\.safetensors cannot start this run: the tensor \S+ is "):
        start_from(wider, SPLIT.classes, path)
    cam = make_task(settings(method="cam", model={"backbone": TINY["backbone"]}), SPLIT)
    with pytest.raises(CheckpointError, match="it is a simformer network, not a cam one"):
        start_from(cam, SPLIT.classes, path)
