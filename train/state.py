"""The saved state of an unfinished run: written whole or not at all, read without running code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from simformer.errors import CheckpointError
from simformer.files import atomic_write
from train.config import TrainConfig

# A run may go on elsewhere, be watched differently or load its photos with more workers, and stay the same run.
FREE_TO_CHANGE = {"data", "out", "workers", "cache", "evaluate_every", "checkpoint_every", "schedule"}


def save_state(
    path: Path,
    task: nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
    config: TrainConfig,
    step: int,
    seconds: float,
) -> None:
    """Weights, optimizer, schedule, step and the seconds spent so far."""
    state = {
        "task": task.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "config": fixed_settings(config),
        "step": step,
        "seconds": seconds,
    }
    with atomic_write(path) as file:
        torch.save(state, file)


def load_state(
    path: Path, task: nn.Module, optimizer: Optimizer, schedule: LRScheduler, config: TrainConfig
) -> tuple[int, float]:
    """Restores a run in place; step and seconds, (0, 0.0) where there is no state yet.

    Raises:
        CheckpointError: the file is damaged, or belongs to a run with other settings (names the first).
    """
    if not path.exists():
        return 0, 0.0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        saved, step, seconds = state["config"], state["step"], state["seconds"]
        parts = [(task, state["task"]), (optimizer, state["optimizer"]), (schedule, state["schedule"])]
    except Exception as problem:  # torch.load raises nearly anything on a damaged file
        raise CheckpointError(f"The training state {path} is damaged: delete it to start again.") from problem
    if (key := first_difference(saved, config)) is not None:
        now = fixed_settings(config)
        raise CheckpointError(
            f"{path} was saved with {key}={saved.get(key)}, this run has {key}={now.get(key)}; use another `out`."
        )
    try:
        for part, values in parts:
            part.load_state_dict(values)
    except (RuntimeError, ValueError, KeyError) as problem:
        raise CheckpointError(f"{path} is of another version of this network; use another `out`.") from problem
    return step, seconds


def first_difference(saved: dict[str, Any], config: TrainConfig) -> str | None:
    """The first setting, by name, in which a saved run differs from `config`; None if it is the same run.

    A setting that is younger than the run had its default.
    """
    then, now = fixed_settings(TrainConfig.model_construct()) | saved, fixed_settings(config)
    keys = (then.keys() | now.keys()) - FREE_TO_CHANGE
    return min((key for key in keys if then.get(key) != now.get(key)), default=None)


def fixed_settings(config: TrainConfig) -> dict[str, Any]:
    """Settings that make a run what it is, as JSON has them."""
    return config.model_dump(mode="json", exclude=FREE_TO_CHANGE)
