"""The cells of a table: what a table's file says, and what is known of each training that it names."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from simformer.batch.cluster import Cluster
from simformer.errors import CheckpointError, ConfigError
from simformer.results import SEALED, ResultCell, read_results
from simformer.splits import ALL_BASE
from simformer.utils.validation import first_problem
from simformer.weights import SUFFIX, full_name, read_card
from train.config import TrainConfig, as_published, load_config, read_yaml
from train.state import WEIGHTS, first_difference
from train.tables.cluster import ClusterProcess
from train.tables.draws import RandomSplits, drawn_for
from train.tables.provenance import table_name

# How a run ends that was asked to stop: with its state saved, or before it had begun.
STOPPED = {code for number in (signal.SIGTERM, signal.SIGINT) for code in (128 + number, -number)}


class CellGroup(BaseModel):
    """Cells that differ in split and seed alone; `random_splits` stands in the place of `splits`."""

    model_config = ConfigDict(extra="forbid")

    name: str
    config: str | None = None
    splits: list[str] = ["s1"]
    random_splits: RandomSplits | None = None
    seeds: list[int] = [0]
    settings: dict[str, Any] = {}
    teacher: str | None = None
    sealed: bool = False

    @model_validator(mode="after")
    def _one_kind_of_splits(self) -> CellGroup:
        if self.random_splits is not None and "splits" in self.model_fields_set:
            raise ValueError(f"{self.name} has both splits and random_splits")
        return self

    def roles(self, config: Path, overrides: list[str]) -> list[tuple[str, list[str]]]:
        """Every split's name and the settings that go with it; `overrides` tell the data set of a draw."""
        if self.random_splits is None:
            return [(split, []) for split in self.splits]
        # Which data set it is; the roles, and the teacher of each, are not known yet.
        without = [f"split={ALL_BASE}", "novel=null", "pseudo=null", "teacher=null"]
        drawn = drawn_for(load_config(config, [*overrides, *without]), self.random_splits)
        return [(roles.name, [f"novel={json.dumps(roles.novel)}"]) for roles in drawn]


class Table(BaseModel):
    """A table of cells; `settings` hold for all of them."""

    model_config = ConfigDict(extra="forbid")

    config: str
    settings: dict[str, Any] = {}
    cells: list[CellGroup]


@dataclass
class Cell:
    """One training run of the table.

    Attributes:
        config, overrides, settings: the run's configuration file, what is laid over it, and the outcome.
        out: folder of the run.
        teacher: the cell whose weights make this one's pseudo masks.
        drawn: its novel classes were drawn at random.
        sealed: its result is kept apart and not printed.
        result: once it is there.
        weights_wanted: its result is there, but its weights are not, which another cell needs.
        process: while it runs, and after.
    """

    name: str
    config: Path
    overrides: list[str]
    settings: TrainConfig
    out: Path
    teacher: Cell | None = None
    drawn: bool = False
    sealed: bool = False
    result: ResultCell | None = None
    weights_wanted: bool = False
    process: subprocess.Popen | ClusterProcess | None = None

    @property
    def command(self) -> list[str]:
        out = f"out={as_yaml(str(self.out))}"
        return [sys.executable, "-m", "train", str(self.config), *self.overrides, out, "--resume"]

    @property
    def weights(self) -> Path:
        """The file that the run leaves in the end."""
        return self.out / WEIGHTS

    @property
    def missing(self) -> bool:
        """Whether there is something to run."""
        return self.result is None or self.weights_wanted

    @property
    def has_weights(self) -> bool:
        """Whether its folder holds weights that were trained with just these settings."""
        try:
            card = read_card(self.weights)
        except CheckpointError:
            return False
        return first_difference(card.training, as_published(self.settings)) is None

    @property
    def ready(self) -> bool:
        """Whether it can be started: it needs no other cell, or that one has left its weights."""
        return self.teacher is None or (not self.teacher.missing and self.teacher.has_weights)

    def unseals(self, other: Cell) -> bool:
        """Whether just one of the two is sealed, though both have the same roles, which were drawn."""
        ours, theirs = self.settings, other.settings
        alike = self.drawn and other.drawn and (ours.dataset, ours.split) == (theirs.dataset, theirs.split)
        return alike and self.sealed != other.sealed

    def find_result(self, measured: list[ResultCell], published: Iterable[ResultCell] = ()) -> None:
        """Takes the first result that was measured with just these settings, if there is one.

        A result is no older than that of the teacher it was measured with, be it another cell or a shipped model,
        whose result is one of `published`.
        """
        if self.teacher is not None and self.teacher.result is None:
            return
        shipped = full_name(self.settings.teacher or "")
        teachers = (
            [self.teacher.result]
            if self.teacher
            else [
                cell for cell in published if cell.weights and full_name(cell.weights.removesuffix(SUFFIX)) == shipped
            ]
        )
        for cell in measured:
            settings = as_published(self.settings)
            if any(teacher is not None and cell.date < teacher.date for teacher in teachers):
                continue
            if self.teacher is not None:
                # The same cell's weights, wherever its run's folder was.
                found = cell.config.get("teacher") or ""
                if Path(found).parts[-2:] == self.teacher.weights.parts[-2:]:
                    settings = settings.model_copy(update={"teacher": found})
            if cell.schedule == table_name(settings) and first_difference(cell.config, settings) is None:
                self.result = cell
                return

    def start(self, threads: int) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"OMP_NUM_THREADS": str(threads)} | os.environ,
            )

    def start_on(self, cluster: Cluster) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        self.process = ClusterProcess(cluster, self.command, self.out)

    @property
    def ended(self) -> bool:
        """Whether its process has come to its end."""
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """Asks its process to save and stop."""
        if self.process is not None:
            self.process.terminate()

    def finish(self) -> None:
        """Reads what the ended process left."""
        assert self.process is not None
        self.process.wait()
        if self.process.returncode == 0:
            self.weights_wanted = False
            if self.result is None:  # a number that is known is not replaced by a repetition
                self.find_result(read_results(self.out, part_masked=True))

    def row(self) -> str:
        """Its line of the printed table."""
        if self.result is not None:
            scores = self.result.scores
            values = (scores.miou, scores.base, scores.novel)
            shown = " ".join("     -" if value is None else f"{value:6.1f}" for value in values)
            shown = f"{SEALED:>20}" if self.sealed else shown
            return f"{self.name:32} {shown} {self.result.steps:6} steps {self.result.wall_seconds:6.0f} s"
        if self.process is None:
            return f"{self.name:32} waiting" + (f" for {self.teacher.name}" if self.teacher and not self.ready else "")
        if self.process.returncode in STOPPED:
            return f"{self.name:32} stopped, will go on from its state"
        return f"{self.name:32} failed ({self.process.returncode}), see {self.out / 'log.txt'}"


def read_table(path: Path, overrides: list[str], runs: Path) -> list[Cell]:
    """The cells of a table, every one's settings checked before any is run.

    Raises:
        ConfigError: the table or a cell's configuration is wrong; says what.
    """
    try:
        table = Table.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}") from error
    cells: dict[str, Cell] = {}
    for group in table.cells:
        config = path.parent / (group.config or table.config)
        settings = [*as_overrides(table.settings), *as_overrides(group.settings)]
        roles = group.roles(config, [*settings, *overrides])
        for (split, novel), seed in itertools.product(roles, group.seeds):
            name = cell_name(group.name, split, seed)
            if name in cells:
                raise ConfigError(f"{path} has two cells called {name}")
            teacher = None
            if group.teacher is not None:
                teacher = teacher_of(cells, group.teacher, split, seed)
                if teacher is None:
                    raise ConfigError(f"{path}: the teacher of {name}, {group.teacher}, has no such cell above it")
            given = [*settings, f"split={as_yaml(split)}", *novel, f"seed={seed}"]
            given += [f"teacher={json.dumps(str(teacher.weights))}"] if teacher else []
            given += overrides
            out = runs / path.stem / name
            cell = Cell(name, config, given, load_config(config, given), out, teacher, bool(novel), group.sealed)
            if any(cell.unseals(other) for other in cells.values()):
                raise ConfigError(f"{path}: the role set {split} is sealed in some of its cells and not in others")
            cells[name] = cell
    return list(cells.values())


def teacher_of(cells: dict[str, Cell], group: str, split: str, seed: int) -> Cell | None:
    """The cell of a group with the same split and seed; else the one that was trained once for all, as CAM is."""
    names = (cell_name(group, split, seed), cell_name(group, ALL_BASE, seed), cell_name(group, ALL_BASE, 0))
    return next((cells[name] for name in names if name in cells), None)


def cell_name(group: str, split: str, seed: int) -> str:
    return f"{group}_{split}" + (f"_seed{seed}" if seed else "")


def as_yaml(text: str) -> str:
    """Text that YAML reads as this very text; as it is where it can be."""
    try:
        plain = yaml.safe_load(text) == text
    except yaml.YAMLError:
        plain = False
    return text if plain else json.dumps(text)


def as_overrides(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """{"steps": 4, "model": {"width": 64}} -> steps=4, model.width=64. JSON is YAML on one line."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from as_overrides(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={json.dumps(value)}"
