"""What the tests of the table runner share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from typer.testing import CliRunner

from simformer.checkpoint import save_checkpoint
from simformer.datasets.folder import FolderDataset
from simformer.evaluation import Scores
from simformer.results import write_result
from simformer.weights import Card
from train.config import load_config, published_settings
from train.data import load_split_of
from train.tables.cells import Cell
from train.tables.provenance import Outcome, result_cell
from train.tables.sweep import app

# Of a method whose name does not depend on the teacher's weights, which are not real here.
PSEUDO = {"pairing": "none", "pseudo": "cam"}


class Runs:
    """In the place of `python -m train`: writes the result, or fails, or goes on until it is stopped.

    Attributes:
        started: names of the cells that were started.
        fails, lasts: those that fail, those that run until they are asked to stop.
        together: the largest number that ran at a time.
    """

    def __init__(self, scenes: Path):
        self.started, self.fails, self.lasts, self.together = [], set(), set(), 0
        self.processes = []
        self.dataset = FolderDataset(scenes)

    def start(self, cell: Cell, threads: int) -> None:
        self.started.append(cell.name)
        code = "pass"
        if cell.name in self.fails:
            code = "raise SystemExit(1)"
        elif cell.name in self.lasts:
            code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(143)); time.sleep(60)"
        else:
            write_result(self.result(load_config(cell.config, [*cell.overrides, f"out={cell.out}"])), cell.out)
            save_checkpoint(cell.weights, {"x": torch.zeros(1)}, self.card(cell))
        cell.process = subprocess.Popen([sys.executable, "-c", code])
        self.processes.append(cell.process)
        self.together = max(self.together, sum(process.poll() is None for process in self.processes))

    def card(self, cell: Cell) -> Card:
        facts = {"classes": ("a",), "roles": ("base",), "dataset": "custom", "split": "s1", "image_size": 64}
        return Card(kind="simformer", architecture={}, training=published_settings(cell.settings), **facts)

    def result(self, config):
        split = load_split_of(config, self.dataset)
        values = [10.0 + config.seed] * len(split.classes)
        scores = Scores(miou=values[0], base=values[0], novel=values[0], per_class=values, pixels=9, images=2)
        return result_cell(config, Outcome(split, scores, 3.0, 0.1, "", "", None, None), "")


def run(table: Path, *arguments: str):
    return CliRunner().invoke(app, [str(table), "--runs", str(table.parent / "runs"), *arguments])


def rows(output: str) -> dict[str, str]:
    """The printed table: name -> the rest of its line."""
    lines = output[output.index("mIoU") :].splitlines()[1:]
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line.strip()}
