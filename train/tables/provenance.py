"""Where a number comes from: commit, device, command; put together as one cell of assets/results."""

from __future__ import annotations

import platform
import shlex
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from simformer.evaluation import Scores
from simformer.paths import ROOT
from simformer.results import (
    ALL,
    CellScores,
    GivenMasks,
    Health,
    ResultCell,
    Transfer,
    is_role_set,
    read_results,
    result_name,
)
from simformer.splits import Split
from train.config import TrainConfig, published_settings
from train.state import FREE_TO_CHANGE, flat
from train.tasks import method_name


def commit_id() -> str:
    """The commit of this code, "-dirty" behind it if the code differs; "" where there is no history."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def device_name(device: torch.device) -> str:
    """What the run ran on, as a person would say it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def command_line(config_path: Path, overrides: list[str]) -> str:
    """The command that makes this cell again, with the data folder, and a teacher elsewhere, left to the reader."""
    kept = [o for o in overrides if o.split("=")[0] not in FREE_TO_CHANGE - {"schedule"}]
    kept = ["teacher=TEACHER" if o.startswith(("teacher=/", 'teacher="/')) else o for o in kept]
    return " ".join(["python -m train", *map(shlex.quote, [config_path.as_posix(), "data=DATA", *kept])])


def differing_setting(a: dict[str, Any], b: dict[str, Any]) -> str | None:
    """The first setting, by name, in which two runs differ as results and cards note them; None if in none.

    Where weights lay does not count, nor what only one of them notes: the other is older.
    """
    a, b = flat(a), flat(b)
    keys = (a.keys() & b.keys()) - FREE_TO_CHANGE - {"teacher", "init"}
    return min((key for key in keys if a[key] != b[key]), default=None)


def clash(cell: ResultCell, results: Path) -> tuple[ResultCell, str] | None:
    """The result of other settings that has this one's place in a folder, and the first setting they differ in."""
    name = result_name(cell)
    there = next(
        (other for other in read_results(results, report=lambda _: None, part_masked=True) if other.file == name), None
    )
    if there is None or (key := differing_setting(there.config, cell.config)) is None:
        return None
    return there, key


def table_name(config: TrainConfig) -> str:
    """The results table a run belongs to. Scores on held-out training photos never stand beside scores on val."""
    return f"{config.schedule}_held_out" if config.hold_out else config.schedule


@dataclass(frozen=True)
class Outcome:
    """What is known of a training that has ended.

    Attributes:
        split: the roles it was trained and scored with.
        scores: on the evaluation photos, in percent.
        wall_seconds: of its steps, without evaluations and without making pseudo masks.
        seconds_per_image: of segmenting an evaluation photo.
        commit, device: of the code, and what it ran on.
        health, transfer: None where a network has no queries; no transfer without novel classes.
    """

    split: Split
    scores: Scores
    wall_seconds: float
    seconds_per_image: float
    commit: str
    device: str
    health: Health | None
    transfer: Transfer | None


def result_cell(config: TrainConfig, outcome: Outcome, command: str) -> ResultCell:
    """One measured cell from what `train.engine.train` returned."""
    scores, split = outcome.scores, outcome.split
    method = method_name(config, split)
    once_for_all = config.method == "cam" or not split.novel
    name = ALL if once_for_all else split.name
    novel = [] if once_for_all else [split.classes[i] for i in split.novel]
    return ResultCell(
        method=method,
        dataset=split.dataset,
        split=name,
        novel=novel if split.dataset == "custom" or is_role_set(split.dataset, name) else None,
        seed=config.seed,
        steps=config.steps,
        points=config.points if method in ("SimFormer", "Self-Pair") else None,
        scores=CellScores(
            miou=scores.miou,
            base=None if once_for_all else scores.base,
            novel=None if once_for_all else scores.novel,
            per_class=dict(zip(split.classes, scores.per_class, strict=True)),
        ),
        images=scores.images,
        pixels=scores.pixels,
        config=published_settings(config),
        masks=GivenMasks.noted(config.model_dump()),
        command=command,
        commit=outcome.commit,
        device=outcome.device,
        wall_seconds=outcome.wall_seconds,
        date=datetime.now(UTC),
        schedule=table_name(config),
        label_rule=config.label_rule,
        transfer=outcome.transfer,
        health=outcome.health,
    )
