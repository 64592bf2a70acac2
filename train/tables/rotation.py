"""python -m train.tables.rotation DIR: a table in which every class is novel once, and its hours on this machine.

    python -m train.tables.rotation DIR --out train/configs/table_mine.yaml
    python -m train.tables.sweep train/configs/table_mine.yaml --results results

The table has a FullyOracle and a CAM, too, so that the planner knows what masks gain and what image labels alone give.
The hours are those of what is prepared before a training's first step (the teacher of SimFormer+, the masks it makes)
and of its steps, from a few steps of each network; evaluating comes on top.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from simformer.costs.frequency import folder_frequency
from simformer.errors import exit_on_error
from simformer.trainings.own import own_table, rotation
from simformer.utils.files import atomic_write
from train.config import TrainConfig
from train.data import batches
from train.engine import prepare, take_step
from train.runtime.precision import cpu_matmul_precision
from train.tables.cells import Cell, read_table

WARM_UP, TIMED = 1, 3


def timed(config: TrainConfig) -> tuple[float, float]:
    """Seconds on this machine until this training begins, and of a step: the median of a few, after one not counted."""
    with tempfile.TemporaryDirectory() as out, ExitStack() as held:
        start = time.perf_counter()
        run = prepare(config.model_copy(update={"out": Path(out)}), False, held)
        preparing = time.perf_counter() - start
        run.model.train()
        seconds = []
        with cpu_matmul_precision(config.precision), closing(batches(run.stream, 0, False)) as loaded:
            for batch, _ in zip(loaded, range(WARM_UP + TIMED), strict=False):
                begun = time.perf_counter()
                take_step(run, batch)
                seconds.append(time.perf_counter() - begun)
        if run.writer is not None:
            run.writer.close()
    return preparing, statistics.median(seconds[WARM_UP:])


def hours(cells: list[Cell]) -> float:
    """Of all cells, without their evaluation: of those that differ in their novel classes alone one is timed."""
    found: dict[str, tuple[float, float]] = {}
    total = 0.0
    for cell in cells:
        kind = cell.name.split("_")[0]
        if kind not in found:
            found[kind] = timed(cell.settings)
        preparing, a_step = found[kind]
        total += preparing + a_step * cell.settings.steps
    return total / 3600


def main(
    data: Annotated[Path, typer.Argument(help="a folder data set")],
    out: Annotated[Path | None, typer.Option(help="write the table there")] = None,
    groups: Annotated[int | None, typer.Option(help="role sets; by default of about four novel classes each")] = None,
    time_it: Annotated[bool, typer.Option("--timed/--no-timed", help="take a few steps to tell the hours")] = True,
) -> None:
    """Print the role sets in which every class of a folder is novel once, and how long they take on this machine."""
    with exit_on_error():
        counted = folder_frequency(data)
        names = [found.name for found in counted]
        sets = rotation(names, [found.share for found in counted], groups)
        table, trainings = own_table(data.resolve(), names, sets)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "table.json"
            file.write_text(json.dumps(table), encoding="utf-8")
            cells = read_table(file, [], Path(folder))
            time_needed = hours(cells) if time_it else None
        for training in trainings:
            print(training.title)
        steps = sum(cell.settings.steps for cell in cells)
        said = "" if time_needed is None else f": about {time_needed:.1f} hours on this machine"
        print(f"{len(cells)} trainings, {steps:,} steps{said}")
        if out is not None:
            with atomic_write(out, "w") as opened:
                json.dump(table, opened, indent=1, ensure_ascii=False)
            print(f"{out} (JSON is YAML): python -m train.tables.sweep {out} --results results")


if __name__ == "__main__":
    typer.run(main)
