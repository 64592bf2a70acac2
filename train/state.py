"""The saved state of an unfinished run: written whole or not at all, read without running code."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from simformer.errors import CheckpointError
from simformer.utils.files import atomic_write
from simformer.weights import read_card
from train.config import DATA_ID, TrainConfig, as_published, data_id
from train.pseudo.kinds import all_pseudo_settings
from train.settings import RunSettings

# What a run leaves in its folder.
WEIGHTS, STATE = "weights.safetensors", "state.pt"

STATE_KEYS = {"task", "optimizer", "schedule", "config", "step", "seconds"}

# A run may go on elsewhere, be watched differently or load its photos with more workers, and stay the same run.
FREE_TO_CHANGE = {"data", *RunSettings.model_fields}


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
    state = read_state(path, config)
    restore(path, state, task=task, optimizer=optimizer, schedule=schedule)
    return state["step"], state["seconds"]


def load_task(path: Path, task: nn.Module, config: TrainConfig) -> None:
    """Restores the networks alone, SimNet among them. Raises CheckpointError as `load_state` and for a missing file."""
    restore(path, read_state(path, config), task=task)


def read_state(path: Path, config: TrainConfig) -> dict[str, Any]:
    """What `save_state` wrote, of this very run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not STATE_KEYS <= state.keys():
            raise KeyError("incomplete")
    except Exception as problem:  # torch.load raises nearly anything on a damaged file
        raise CheckpointError(f"The training state {path} is damaged: delete it to start again.") from problem
    check_same_run(path, state["config"], config)
    return state


def restore(path: Path, state: dict[str, Any], **parts: nn.Module | Optimizer | LRScheduler) -> None:
    """Puts what `path` held into its parts, in place."""
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (RuntimeError, ValueError, KeyError) as problem:
        raise CheckpointError(f"{path} is of another version of this network; use another `out`.") from problem


def check_folder(config: TrainConfig) -> None:
    """Nothing of another run is overwritten.

    Raises:
        CheckpointError: `config.out` holds weights or a state of other settings or data; names the first difference.
    """
    weights, state = config.out / WEIGHTS, config.out / STATE
    trained = saved = None
    with suppress(CheckpointError):  # there are none, or they are damaged
        trained = read_card(weights).training
    with suppress(Exception):  # torch.load raises nearly anything on a damaged file
        saved = torch.load(state, map_location="cpu", weights_only=True)["config"]
    if trained is not None:
        check_same_run(weights, trained, as_published(config))
    if saved is not None:
        check_same_run(state, saved, config)


def check_same_run(path: Path, saved: dict[str, Any], config: TrainConfig) -> None:
    """Raises CheckpointError, which names the first difference, if a file was saved by another run."""
    key = first_difference(saved, config)
    if key == DATA_ID:
        raise CheckpointError(f"{path} was trained on a data set of other classes or photos; use another `out`.")
    if key is not None:
        then, now = flat(saved), flat(fixed_settings(config))
        raise CheckpointError(
            f"{path} was saved with {key}={then.get(key)}, this run has {key}={now.get(key)}; use another `out`."
        )


def first_difference(saved: dict[str, Any], config: TrainConfig) -> str | None:
    """The first setting, by name, in which a saved run differs from `config`; None if it is the same run.

    A setting that is younger than the run had its default; a run older than the data set's id may be of any. What the
    method does not read is not compared.
    """
    then = flat(TrainConfig.model_construct().model_dump(mode="json")) | flat(saved)
    now = flat(fixed_settings(config))
    keys = (then.keys() | now.keys()) - FREE_TO_CHANGE - ({DATA_ID} - saved.keys())
    compared = (key for key in keys if key.split(".")[0] not in config.unread)
    return min((key for key in compared if then.get(key) != now.get(key)), default=None)


def flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with those of teachers beside the others, so that each is younger or older than a run by itself."""
    groups = {"partial_labels": settings.get("partial_labels"), "pseudo": all_pseudo_settings(settings.get("pseudo"))}
    nested = {f"{name}.{key}": value for name, group in groups.items() for key, value in (group or {}).items()}
    if "pseudo.kind" in nested:
        nested["pseudo"] = nested.pop("pseudo.kind")
    return {key: value for key, value in settings.items() if key not in groups} | nested


def fixed_settings(config: TrainConfig) -> dict[str, Any]:
    """Settings that make a run what it is, as JSON has them; with the data set's id."""
    return config.model_dump(mode="json", exclude=FREE_TO_CHANGE) | {DATA_ID: data_id(config)}
