"""The saved state of an unfinished run: written whole or not at all, read without running code."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from simformer.errors import CheckpointError
from simformer.files import atomic_write
from train.config import TrainConfig

# A run may go on elsewhere, be watched differently or load its photos with more workers, and stay the same run.
FREE_TO_CHANGE = {"data", "out", "workers", "evaluate_every", "checkpoint_every", "schedule"}


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
    except Exception as problem:  # torch.load raises nearly anything on a damaged file
        raise CheckpointError(f"The training state {path} is damaged: delete it to start again.") from problem
    now = fixed_settings(config)
    for key in sorted(now.keys() | saved.keys()):
        if now.get(key) != saved.get(key):
            raise CheckpointError(
                f"{path} was saved with {key}={saved.get(key)}, this run has {key}={now.get(key)}; use another `out`."
            )
    task.load_state_dict(state["task"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return step, seconds


def fixed_settings(config: TrainConfig) -> dict:
    return config.model_dump(mode="json", exclude=FREE_TO_CHANGE)
