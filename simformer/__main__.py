"""python -m simformer COMMAND: the command line."""

from __future__ import annotations

import typer

from simformer.cli import (
    backtest,
    bench,
    check,
    compare,
    convert,
    cost,
    evaluate,
    examples,
    export,
    onnx,
    segment,
    verify,
)
from simformer.errors import exit_on_error

app = typer.Typer(
    help="Weak-shot semantic segmentation: masks for some classes, image labels for the others.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# The modules import torch only inside these functions: --help has to be quick.
commands = (
    segment.segment,
    evaluate.evaluate,
    verify.verify,
    examples.examples,
    compare.compare,
    check.check,
    bench.bench,
    convert.convert,
    onnx.onnx,
    cost.cost,
    backtest.backtest,
    export.export,
)
for command in commands:
    app.command()(command)


def main() -> None:
    """Run a command; a problem the user can act on ends it with one sentence on stderr and exit status 1."""
    with exit_on_error():
        app()


if __name__ == "__main__":
    main()
