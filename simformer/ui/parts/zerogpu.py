"""Functions that run on a ZeroGPU Space's GPU there, and unchanged everywhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable)

# Seconds for which a call borrows the GPU: a photo takes a fraction of one, waking the process a few.
BORROWED_SECONDS = 20


def on_zerogpu() -> bool:
    """Whether this process is a ZeroGPU Space, where models have to be on the GPU before the launch."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def on_gpu(function: Function) -> Function:
    """`spaces.GPU(function)` where the package is installed; call it before anything imports torch."""
    try:
        import spaces  # pyright: ignore[reportMissingImports]  (only there)
    except ImportError:
        return function
    return spaces.GPU(function, duration=BORROWED_SECONDS)
