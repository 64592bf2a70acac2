"""python -m train.tools.pilot CONFIG [key=value ...]: does similarity transfer to classes whose masks nobody saw?

A trial before any truth of novel classes is asked: some base classes lose their masks for the WHOLE training,
network and teacher alike, and are judged on photos held out of the training. Several rotations, for the draw of classes
decides much. Beside the configured training (the student, and its teacher) stands Basic Model on the same classes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated

import numpy as np
import typer

from simformer.errors import ConfigError, exit_on_error
from simformer.results import mean_iou, read_results
from simformer.splits import Split
from train.config import TrainConfig, load_config
from train.data import load_split_of, open_datasets
from train.evaluation.transfer import STUDENT, TEACHER, judge
from train.masks import given_photos
from train.pseudo.teacher import open_teacher, uses_teacher
from train.state import STATE, load_task
from train.tables.cells import Cell
from train.tables.sweep import run_cells
from train.tasks import SegmentationTask, make_task

BASIC = ["pairing=none", "pseudo=null", "teacher=null", "distill_from=simnet"]


@dataclass(frozen=True)
class Rotation:
    """What is known of one choice of hidden classes.

    Attributes:
        classes: names of the classes that lost their masks.
        teacher, student, basic: AUC on pairs of their pixels, 0 to 1, 0.5 is chance; None where there is no teacher.
        student_iou, basic_iou: mean IoU over them in percent.
    """

    classes: tuple[str, ...]
    teacher: float | None
    student: float | None
    basic: float | None
    student_iou: float | None
    basic_iou: float | None


def hidden_classes(split: Split, count: int, rotations: int, seed: int = 0) -> list[tuple[int, ...]]:
    """`rotations` choices of `count` base classes, none twice; ascending indices.

    Raises:
        ConfigError: the split has not as many base classes and one more.
    """
    if count * rotations >= len(split.base):
        raise ConfigError(f"{rotations} times {count} classes cannot be hidden: {split.name} has {len(split.base)}")
    drawn = np.random.default_rng(seed).permutation(split.base)
    return [tuple(sorted(map(int, drawn[i * count : (i + 1) * count]))) for i in range(rotations)]


def pilot_cells(path: Path, overrides: list[str], split: Split, hidden: list[tuple[int, ...]], out: Path) -> list[Cell]:
    """Student and Basic Model of each rotation, in this order."""
    cells = []
    for number, classes in enumerate(hidden, 1):
        novel = [split.classes[index] for index in sorted({*split.novel, *classes})]
        roles = [f"split={split.name}-pilot{number}", f"novel={json.dumps(novel)}"]
        for name, settings in (("student", []), ("basic", BASIC)):
            given = [*overrides, *roles, *settings]
            label = f"{name}_{split.name}_pilot{number}"
            cells.append(Cell(label, path, given, load_config(path, given), out / label))
    return cells


def judge_rotation(student: Cell, basic: Cell, classes: tuple[int, ...], names: tuple[str, ...]) -> Rotation:
    """Reads what both trainings left. The cells are finished."""
    hidden = tuple(names[index] for index in classes)
    answers = {cell.name: judge_cell(cell, classes) for cell in (student, basic)}
    per_class = [cell.result.scores.per_class for cell in (student, basic) if cell.result is not None]
    student_iou, basic_iou = (mean_iou(of_cell[name] for name in hidden) for of_cell in per_class)
    return Rotation(
        hidden,
        answers[student.name].get(TEACHER),
        answers[student.name].get(STUDENT),
        answers[basic.name].get(STUDENT),
        student_iou,
        basic_iou,
    )


def judge_cell(cell: Cell, classes: tuple[int, ...]) -> dict[str, float | None]:
    """AUC of teacher and student on the held-out photos' pixels of some classes."""
    config = cell.settings.model_copy(update={"out": cell.out})
    kept, held_out = open_datasets(config)
    split = load_split_of(config, kept)
    kept = given_photos(config, kept, split)
    task = make_task(config, split)
    if not isinstance(task, SegmentationTask):
        raise ConfigError("similarity is what runs of method=simformer transfer; others have no pilot")
    load_task(cell.out / STATE, task, config)
    teacher = open_teacher(config, kept, split) if uses_teacher(config) else None
    return {who: found.auc for who, found in judge(task, held_out, classes, config, teacher=teacher).items()}


def table(rotations: list[Rotation]) -> str:
    """Markdown: a line for each rotation, and their mean."""
    lines = [
        "| hidden classes | teacher AUC | student AUC | Basic Model AUC | student IoU | Basic Model IoU |",
        f"| --- |{' ---: |' * 5}",
    ]
    columns = [[r.teacher, r.student, r.basic, r.student_iou, r.basic_iou] for r in rotations]
    means = [
        mean(known) if (known := [v for v in values if v is not None]) else None
        for values in zip(*columns, strict=True)
    ]
    for name, values in zip([*(", ".join(r.classes) for r in rotations), "mean"], [*columns, means], strict=True):
        digits = (2, 2, 2, 1, 1)
        shown = ["–" if v is None else f"{v:.{d}f}" for v, d in zip(values, digits, strict=True)]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def check(config: TrainConfig) -> None:
    """Raises ConfigError for a configuration that no pilot can be made of."""
    if not config.hold_out:
        raise ConfigError("a pilot is judged on photos held out of the training: set hold_out, to 0.2 for example")
    if config.method != "simformer":
        raise ConfigError("a pilot compares trainings of method=simformer")


def main(
    config: Annotated[Path, typer.Argument(help="a YAML file; its training is the student's")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value settings; hold_out=0.2 among them")] = None,
    rotations: Annotated[int, typer.Option(min=1, help="choices of hidden classes")] = 3,
    classes: Annotated[int, typer.Option(min=1, help="base classes that lose their masks in each")] = 4,
    jobs: Annotated[int, typer.Option(min=1, help="trainings at a time")] = 1,
    runs: Annotated[Path, typer.Option(help="folder of the trainings; those done are not repeated")] = Path(
        "runs/pilot"
    ),
) -> None:
    """Train on fewer masks than there are, and see how teacher, student and Basic Model know the hidden classes."""
    given = overrides or []
    with exit_on_error():
        settings = load_config(config, given)
        check(settings)
        split = load_split_of(settings, open_datasets(settings.model_copy(update={"out": runs}))[0])
        hidden = hidden_classes(split, classes, rotations)
        cells = pilot_cells(config, given, split, hidden, runs)
        for cell in cells:
            cell.find_result(read_results(cell.out, part_masked=True))
        run_cells(cells, jobs, float("inf"))
        if failed := [cell for cell in cells if cell.result is None]:
            raise ConfigError(f"{failed[0].name} did not finish: see {failed[0].out / 'log.txt'}")
        judged = [
            judge_rotation(student, basic, chosen, split.classes)
            for student, basic, chosen in zip(cells[::2], cells[1::2], hidden, strict=True)
        ]
    print(table(judged))


if __name__ == "__main__":
    typer.run(main)
