"""How a command ends when its user has something to mend."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from simformer.errors import SimFormerError


@contextmanager
def one_sentence() -> Iterator[None]:
    """A SimFormerError inside ends the command with exit status 1, and its sentence, no traceback, on stderr."""
    try:
        yield
    except SimFormerError as problem:
        print(f"error: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None
