"""The pilot: which masks are hidden, from whom, and what is said of both trainings."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from simformer.datasets.folder import FolderDataset
from simformer.errors import ConfigError
from simformer.results import write_result
from simformer.splits import custom_split
from train.config import load_config
from train.data import load_split_of
from train.engine import train
from train.tables.cells import Cell
from train.tables.provenance import result_cell
from train.tools import pilot
from train.tools.pilot import Rotation, hidden_classes, pilot_cells, table

SPLIT = custom_split([f"c{number}" for number in range(12)], ["c0", "c5"], "mine")


def test_hidden_classes_are_base_and_never_the_same():
    hidden = hidden_classes(SPLIT, 3, 3)
    every = [index for classes in hidden for index in classes]
    assert len(every) == len(set(every)) == 9 and set(every) <= set(SPLIT.base)
    assert hidden == hidden_classes(SPLIT, 3, 3) != hidden_classes(SPLIT, 3, 3, seed=1)
    with pytest.raises(ConfigError, match="5 times 2 classes cannot be hidden: mine has 10"):
        hidden_classes(SPLIT, 2, 5)


def test_a_table_and_its_mean():
    first = Rotation(("a", "b"), 0.9, 0.8, 0.7, 60.0, 50.0)
    second = Rotation(("c",), None, 0.6, 0.5, 40.0, 20.0)
    *_, one, two, mean = table([first, second]).splitlines()
    assert one == "| a, b | 0.90 | 0.80 | 0.70 | 60.0 | 50.0 |"
    assert two == "| c | – | 0.60 | 0.50 | 40.0 | 20.0 |"
    assert mean == "| mean | 0.90 | 0.70 | 0.60 | 50.0 | 35.0 |"


@pytest.fixture
def command(settings, tmp_path, monkeypatch):
    """command(key=value, ...) -> what the command prints; the trainings run in this process."""
    started = []

    def start(cell: Cell, threads: int) -> None:
        started.append(cell)
        config = load_config(cell.config, [*cell.overrides, f"out={cell.out}"])
        write_result(result_cell(config, train(config), ""), cell.out)
        cell.process = SimpleNamespace(poll=lambda: 0, wait=lambda: 0, returncode=0)

    monkeypatch.setattr(Cell, "start", start)
    app = typer.Typer()
    app.command()(pilot.main)

    def run(**changes):
        path = tmp_path / "pilot.json"
        path.write_text(json.dumps(settings(**changes).model_dump(mode="json", exclude={"out"})))
        words = [str(path), "--rotations", "1", "--classes", "2", "--runs", str(tmp_path / "pilot")]
        return CliRunner().invoke(app, words), started

    return run


STUDENT = {"distill_from": "partial_labels", "pseudo": "partial_labels", "partial_labels": {"steps": 20}, "steps": 1}


@pytest.mark.slow
def test_masks_are_hidden_from_network_and_teacher(command, scenes, settings):
    result, started = command(hold_out=0.4, **STUDENT)
    assert result.exit_code == 0, result.output
    split = load_split_of(settings(), FolderDataset(scenes))
    (hidden,) = hidden_classes(split, 2, 1)
    student, basic = started
    for cell in started:
        assert cell.settings.novel == [split.classes[i] for i in sorted({*split.novel, *hidden})]
    assert student.settings.pseudo_kind == student.settings.distill_from == "partial_labels"
    assert (basic.settings.pseudo, basic.settings.pairing) == (None, "none")
    names = ", ".join(split.classes[index] for index in hidden)
    printed = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert len(printed) == 4 and printed[2].startswith(f"| {names} | ")
    again, started = command(hold_out=0.4, **STUDENT)
    assert again.stdout.splitlines() == printed and len(started) == 2  # what is done is not done again


@pytest.mark.parametrize("changes, words", [
    ({}, "set hold_out"), ({"hold_out": 0.4, "method": "cam", "model": {}}, "method=simformer"),
])  # fmt: skip
def test_what_no_pilot_can_be_made_of(command, changes, words):
    result, started = command(**changes)
    assert result.exit_code == 1 and words in result.stderr and not started


def test_cells_keep_what_was_set(tmp_path, settings):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(settings().model_dump(mode="json", exclude={"out"})))
    split = custom_split(SPLIT.classes, ["c0"], "mine")
    student, basic = pilot_cells(path, ["steps=7"], split, [(3, 4)], tmp_path)
    assert student.settings.steps == basic.settings.steps == 7
    assert student.settings.novel == ["c0", "c3", "c4"] and student.settings.split == "mine-pilot1"
