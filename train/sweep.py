"""python -m train.sweep TABLE.yaml [key=value ...]: runs the cells of a table that are missing.

One process per cell, several at a time; a cell whose result is there is skipped, a killed one goes on from its state.
A table names a configuration and cells; a cell with several splits or seeds is one cell for each:

    config: configs/msrc21.yaml
    settings: {steps: 4000}
    cells:
      - {name: simformer, splits: [s1, s2]}
      - {name: basic, splits: [s1, s2], seeds: [0, 1], settings: {pairing: none}}
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from simformer.errors import ConfigError, SimFormerError
from simformer.validation import first_problem
from train.config import load_config, read_yaml

app = typer.Typer(add_completion=False)


class CellGroup(BaseModel):
    """Cells that differ in split and seed alone."""

    model_config = ConfigDict(extra="forbid")

    name: str
    config: str | None = None
    splits: list[str] = ["s1"]
    seeds: list[int] = [0]
    settings: dict[str, Any] = {}


class Table(BaseModel):
    """A table of cells; `settings` hold for all of them."""

    model_config = ConfigDict(extra="forbid")

    config: str
    settings: dict[str, Any] = {}
    cells: list[CellGroup]


@dataclass
class Cell:
    """One training run of the table."""

    name: str
    config: Path
    overrides: list[str]
    out: Path
    process: subprocess.Popen | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def result(self) -> Path | None:
        """The result's JSON, once there is one."""
        return next(self.out.glob("*_seed*.json"), None)

    def start(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        with (self.out / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "train", str(self.config), *self.overrides, f"out={self.out}", "--resume"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
            )

    def row(self) -> str:
        """Its line of the printed table."""
        if self.result is None:
            state = "waiting" if self.process is None else f"failed ({self.process.poll()}), see {self.out / 'log.txt'}"
            return f"{self.name:32} {state}"
        cell = json.loads(self.result.read_text())
        scores = cell["scores"]
        shown = " ".join(f"{scores[k]:6.1f}" if scores[k] is not None else "     -" for k in ("miou", "base", "novel"))
        return f"{self.name:32} {shown} {cell['steps']:6} steps {cell['wall_seconds']:6.0f} s"


def read_table(path: Path, overrides: list[str], runs: Path) -> list[Cell]:
    """The cells of a table, every one's settings checked before any is run.

    Raises:
        ConfigError: the table or a cell's configuration is wrong; says what.
    """
    try:
        table = Table.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}") from error
    cells = []
    for group in table.cells:
        for split, seed in itertools.product(group.splits, group.seeds):
            settings = {**table.settings, **group.settings, "split": split, "seed": seed}
            config = path.parent / (group.config or table.config)
            name = f"{group.name}_{split}" + (f"_seed{seed}" if seed else "")
            given = [
                f"{key}={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}"
                for key, value in settings.items()
            ]
            load_config(config, [*given, *overrides])
            cells.append(Cell(name, config, [*given, *overrides], runs / name))
    names = [cell.name for cell in cells]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{path} has two cells called {name}")
    return cells


def run_cells(cells: list[Cell], jobs: int, minutes: float) -> None:
    """Runs what is missing, `jobs` at a time; after `minutes` the running cells are asked to save and stop."""
    waiting = [cell for cell in cells if cell.result is None]
    running: list[Cell] = []
    begun, finished = time.monotonic(), 0
    try:
        while waiting or running:
            if (time.monotonic() - begun) / 60 > minutes:
                return
            while waiting and len(running) < jobs:
                running.append(waiting.pop(0))
                running[-1].start()
            time.sleep(1)
            for cell in [c for c in running if c.process.poll() is not None]:
                running.remove(cell)
                finished += 1
                spent = time.monotonic() - begun
                left = spent / finished * len(waiting + running)
                print(f"{cell.row()}   [{len(waiting + running)} cells, about {left / 60:.0f} min left]", flush=True)
    finally:
        for cell in running:
            cell.process.terminate()
        for cell in running:
            cell.process.wait()


@app.command()
def main(
    table: Annotated[Path, typer.Argument(help="the table, for example train/configs/table_msrc21.yaml")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value settings for every cell")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="cells at a time")] = 1,
    runs: Annotated[Path, typer.Option(help="where the cells' folders go")] = Path("runs"),
    results: Annotated[Path | None, typer.Option(help="copy finished results there, skip cells that are there")] = None,
    minutes: Annotated[float, typer.Option(help="stop after this long; what runs is saved")] = float("inf"),
) -> None:
    """Run the missing cells of a table and print it."""
    try:
        cells = read_table(table, overrides or [], runs)
        run_cells(cells, jobs, minutes)
    except SimFormerError as problem:
        print(f"error: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"\n{'cell':32} {'mIoU':>6} {'base':>6} {'novel':>6}")
    for cell in cells:
        print(cell.row())
        if results and cell.result:
            results.mkdir(parents=True, exist_ok=True)
            shutil.copy(cell.result, results)
    if any(cell.result is None for cell in cells):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
