"""What the work of a network is, and what this machine could do of it: the limit that times are held against."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

MATRIX_SIDE = 2048
RUNS = 7


def processor() -> str:
    """Its name, as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gigaflops_a_second(dtype: torch.dtype, threads: int) -> float:
    """Measured on products of large square matrices, the median of a few, in billions of operations a second.

    Args:
        dtype: of the matrices.
        threads: of torch.
    """
    left, right = torch.ones(2, MATRIX_SIDE, MATRIX_SIDE, dtype=dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    seconds = []
    try:
        for _ in range(RUNS + 1):
            start = time.perf_counter()
            torch.mm(left, right)
            seconds.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)
    return 2 * MATRIX_SIDE**3 / statistics.median(seconds[1:]) / 1e9  # the first warms up


def gigaflops_of(action: Callable[[], object]) -> float:
    """Operations of PyTorch's convolutions, products of matrices and attention in an action, in billions.

    An addition and a multiplication are two.
    """
    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops() / 1e9
