"""python -m train CONFIG [key=value ...] [--resume]: trains one model and leaves weights and result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simformer.errors import exit_on_error
from simformer.results import write_result

app = typer.Typer(add_completion=False)


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="a YAML file, for example train/configs/msrc21.yaml")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value settings over those of the file")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from OUT/state.pt if it is there")] = False,
) -> None:
    """Train one model; its weights, result and logs land in the folder `out`."""
    from train.config import load_config
    from train.engine import describe, train
    from train.tables.provenance import command_line, result_cell

    with exit_on_error():
        settings = load_config(config, overrides)
        outcome = train(settings, resume=resume)
        if outcome is None:  # one of several processes; the first reports
            return
        cell = result_cell(settings, outcome, command_line(config, overrides or []))
        path = write_result(cell, settings.out)
    print(f"{cell.method}, split {cell.split}: {describe(outcome.scores)} ({outcome.wall_seconds:.0f} s) -> {path}")


if __name__ == "__main__":
    app()
