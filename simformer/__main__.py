"""python -m simformer COMMAND: the command line."""

from __future__ import annotations

import typer

from simformer.cli import bench, convert, cost, evaluate, examples, export, onnx, segment
from simformer.errors import exit_on_error
