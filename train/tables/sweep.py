"""python -m train.tables.sweep TABLE.yaml [key=value ...]: runs the cells of a table that are missing.

One process per cell, several at a time, here or on the workers of a Ray cluster (--ray ADDRESS), in the folder
RUNS/TABLE/CELL; a cell whose result is there is skipped, a stopped one goes on from its state.
A table names a configuration beside it, and cells; one with several splits or seeds is one cell for each. Where
`teacher` names other cells, pseudo masks are made by the weights of that of the same split and seed, or else of the
split all_base:

    config: msrc21.yaml
    settings: {steps: 4000}
    cells:
      - {name: simformer, splits: [s1, s2]}
      - {name: basic, splits: [s1, s2], seeds: [0, 1], settings: {pairing: none}}
      - {name: star, splits: [s1, s2], teacher: simformer, settings: {pairing: none, pseudo: predictions}}
      - {name: test, random_splits: {count: 4, novel: [2, 12], seed: 1}, sealed: true}

`random_splits` draws splits (train.tables.role_sets). What `sealed` cells reach is not printed, and their results are
kept in the folder "sealed" of the results, where nothing but this command looks.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from simformer.batch.cluster import Cluster, connected
from simformer.errors import SimFormerError, exit_on_error
from simformer.results import ResultCell, read_results, result_name, write_result
from train.state import flat
from train.tables.cells import SEALED, Cell, read_table
from train.tables.provenance import clash

app = typer.Typer(add_completion=False)


def run_cells(
    cells: list[Cell],
    jobs: int,
    minutes: float,
    cluster: Cluster | None = None,
    keep: Callable[[Cell], None] = lambda _: None,
) -> None:
    """Runs what is missing, `jobs` at a time; after `minutes` the running cells are asked to save and stop.

    Args:
        keep: told of every cell that has ended.
    """
    waiting = [cell for cell in cells if cell.missing]
    running: list[Cell] = []
    begun, finished = time.monotonic(), 0
    try:
        while waiting or running:
            if (time.monotonic() - begun) / 60 > minutes:
                return
            while len(running) < jobs and (able := [cell for cell in waiting if cell.ready]):
                waiting.remove(able[0])
                try:
                    if cluster is None:
                        able[0].start(threads=max(1, (os.cpu_count() or 1) // jobs))
                    else:
                        able[0].start_on(cluster)
                except OSError as error:  # a full disk, a file in the folder's place
                    reason = (error.strerror or str(error)).lower()
                    raise SimFormerError(f"{able[0].name} cannot be started in {able[0].out}: {reason}") from error
                running.append(able[0])
            if not running:
                return  # those that wait have no teacher: it has failed
            time.sleep(0.5)
            for cell in [c for c in running if c.ended]:
                running.remove(cell)
                cell.finish()
                keep(cell)
                finished += 1
                left = (time.monotonic() - begun) / finished * len(waiting + running)
                print(f"{cell.row()}   [{len(waiting + running)} cells, about {left / 60:.0f} min left]", flush=True)
    finally:
        for cell in running:
            cell.stop()
        for cell in running:
            cell.finish()
            keep(cell)


@app.command()
def main(
    table: Annotated[Path, typer.Argument(help="the table, a YAML file")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value settings for every cell")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="cells at a time, on this machine")] = 1,
    runs: Annotated[Path, typer.Option(help="where the cells' folders go")] = Path("runs"),
    results: Annotated[Path | None, typer.Option(help="copy finished results there, skip cells that are there")] = None,
    minutes: Annotated[float, typer.Option(help="stop after this long; what runs is saved")] = float("inf"),
    ray: Annotated[str | None, typer.Option(metavar="ADDRESS", help="run on a Ray cluster, a cell per worker")] = None,
) -> None:
    """Run the missing cells of a table and print it."""
    # As with Ctrl-C, the running cells must be asked to save.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with exit_on_error():
        cells = read_table(table, overrides or [], runs)
        folders = {False: results, True: results / SEALED} if results else {}
        measured = {sealed: read_results(folder, part_masked=True) for sealed, folder in folders.items()}
        problems: list[str] = []

        def keep(cell: Cell) -> None:
            """Stores a result as soon as it is there: whatever ends the others loses none."""
            if results is not None and cell.result is not None:
                problem = store(cell, measured[cell.sealed], folders[cell.sealed])
                if problem and problem not in problems:
                    problems.append(problem)

        for cell in cells:
            cell.find_result(
                [*measured.get(cell.sealed, []), *read_results(cell.out, part_masked=True)], measured.get(False, [])
            )
            keep(cell)
        for cell in reversed(cells):
            if cell.missing and cell.teacher and not cell.teacher.has_weights:
                cell.teacher.weights_wanted = True  # it was measured elsewhere
        if ray is None:
            run_cells(cells, jobs, minutes, keep=keep)
        elif any(cell.missing for cell in cells):
            with connected(ray) as cluster:
                run_cells(cells, cluster.workers, minutes, cluster, keep)
    print(f"\n{'cell':32} {'mIoU':>6} {'base':>6} {'novel':>6}")
    for cell in cells:
        print(cell.row())
    for problem in problems:
        typer.echo(problem, err=True)
    if problems or any(cell.result is None for cell in cells):
        raise typer.Exit(1)


def store(cell: Cell, measured: list[ResultCell], results: Path) -> str | None:
    """Writes a new result among the `measured` ones of the folder `results`.

    Returns:
        Why it was left out: a result of other settings has its place, in a table where all are to be alike.
    """
    if cell.result is None or cell.result in measured:
        return None
    if found := clash(cell.result, results):
        there, key = found
        return (
            f"{cell.name}: {results / result_name(there)} was measured with {key}={flat(there.config)[key]}, not "
            f"{flat(cell.result.config)[key]}, and is not replaced; set schedule=NAME for a table of its own"
        )
    write_result(cell.result, results)
    return None


if __name__ == "__main__":
    app()
