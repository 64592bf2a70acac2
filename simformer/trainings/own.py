"""Where the trainings on a folder of one's own lie, and the tables that say which.

    RUNS/NAME-DIGEST/table.json          the table that is being trained, as `python -m train.tables.sweep` reads it
                     runs/table/CELL/    a training: its log, state, weights and result
                     results/            the results of all that are done

RUNS is $SIMFORMER_RUNS, or the folder runs/own of the checkout.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simformer.errors import CheckpointError, ConfigError
from simformer.paths import RESULTS, ROOT, runs_folder
from simformer.results.cells import RESULTS_FOLDER
from simformer.splits import class_index
from simformer.utils.files import atomic_write, make_folder
from simformer.weights import read_card

CONFIGS = ROOT / "train" / "configs"
ORACLE, CAM, PLUS = "oracle", "cam", "plus"
_NAME_LENGTH = 40


@dataclass(frozen=True)
class Training:
    """One of a table's. name: of its cell, and of its folder. title: what people call it."""

    name: str
    title: str


class OwnRuns:
    """The trainings on one folder data set.

    Attributes:
        data: the folder. folder: all that is trained on it. results, table: as above.
    """

    def __init__(self, data: str | Path):
        self.data = Path(data).resolve()
        digest = hashlib.sha256(str(self.data).encode()).hexdigest()[:8]
        self.folder = runs_folder() / f"{_slug(self.data.name)}-{digest}"
        self.results = self.folder / "results"
        self.table = self.folder / "table.json"

    def cell_folder(self, training: Training) -> Path:
        """Where a training's files lie."""
        return self.folder / "runs" / self.table.stem / training.name

    def done(self, training: Training) -> bool:
        """Whether its result is there."""
        return any(self.cell_folder(training).glob("*.json"))

    def models(self) -> dict[str, Path]:
        """Weights files of all trainings that are done, by name: "cam", "oracle", those of the role sets."""
        found = {}
        for file in sorted((self.folder / "runs").glob("*/*/weights.safetensors")):
            kind = file.parent.name.partition("_")[0]
            if any(file.parent.glob("*.json")):
                with suppress(CheckpointError):
                    found[kind if kind in (ORACLE, CAM) else read_card(file).split] = file
        return found

    def write_table(self, classes: Sequence[str], role_sets: Sequence[Sequence[str]]) -> list[Training]:
        """The table of these role sets, of a FullyOracle and a CAM, which all expectations need, once.

        Args:
            role_sets: novel classes of each.

        Returns:
            Its trainings in the order in which they are done.

        Raises:
            ConfigError: a role set without novel classes, or without base classes. UnknownClassError: no such class.
        """
        make_folder(self.folder)
        content, trainings = own_table(self.data, classes, role_sets)
        with atomic_write(self.table, "w") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
        return trainings


def results_folders(data: str | Path | None, given: Path | None = None) -> tuple[Path, ...]:
    """Where the results lie that a page or a plan rests on.

    Args:
        data: a folder of one's own, whose trainings say more. given: a folder of results to take in place of
            $SIMFORMER_RESULTS; the shipped ones stay beside it where `data` has classes of its own.
    """
    first = given or RESULTS_FOLDER
    if data is None:
        return (first,)
    return tuple(dict.fromkeys((first, OwnRuns(data).results, *((RESULTS,) if given else ()))))


def own_table(
    data: Path, classes: Sequence[str], role_sets: Sequence[Sequence[str]]
) -> tuple[dict[str, Any], list[Training]]:
    """What `OwnRuns.write_table` writes, and returns; raises as it does."""
    cells: list[dict[str, Any]] = []
    trainings = []
    for novel in role_sets:
        novel = [classes[index] for index in sorted(class_index(classes, name) for name in novel)]
        if not novel:
            raise ConfigError("every class gets masks: that is FullyOracle, which is trained with any choice of roles")
        if len(novel) == len(classes):
            raise ConfigError("no class gets masks: there is nothing that masks could be learnt from")
        split = split_name(novel)
        cells.append({"name": PLUS, "splits": [split], "settings": {"novel": novel}})
        trainings.append(Training(f"{PLUS}_{split}", f"SimFormer+, image labels for {', '.join(novel)}"))
    cells.append({"name": ORACLE, "splits": ["all_base"], "settings": {"pairing": "none"}})
    trainings.append(Training(f"{ORACLE}_all_base", "FullyOracle, masks of all classes"))
    cam = {"dataset": "custom", "schedule": "own"}
    cells.append({"name": CAM, "config": str(CONFIGS / "msrc21_cam.yaml"), "splits": ["all_base"], "settings": cam})
    trainings.append(Training(f"{CAM}_all_base", "CAM, image labels of all classes"))
    table = {"config": str(CONFIGS / "own_data.yaml"), "settings": {"data": str(data)}, "cells": cells}
    return table, trainings


def split_name(novel: Sequence[str]) -> str:
    """A name for the role set with these novel classes, which a file may bear; other classes, another name."""
    digest = hashlib.sha256("\n".join(sorted(novel)).encode()).hexdigest()[:6]
    return f"no-{_slug('-'.join(novel))}-{digest}"


def rotation(classes: Sequence[str], photos: Sequence[float], groups: int | None = None) -> list[list[str]]:
    """Role sets in which every class is novel once, frequent and rare ones dealt out evenly.

    Args:
        photos: how many (or which share) show each class. groups: how many role sets; None = of four classes each.

    Raises:
        ConfigError: fewer groups than two, or more than classes.
    """
    if groups is None:
        groups = max(2, round(len(classes) / 4))
    if not 2 <= groups <= len(classes):
        raise ConfigError(f"{len(classes)} classes can take turns in 2 to {len(classes)} role sets, not in {groups}")
    order = sorted(range(len(classes)), key=lambda index: -photos[index])
    return [[classes[index] for index in sorted(order[start::groups])] for start in range(groups)]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:_NAME_LENGTH] or "data"
