"""What the loop needs to know of other processes: signals, and the training processes beside it."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import reduce

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def mean_over_workers(values: Any) -> Any:
    """Mean over all training processes of a tensor, or of every tensor of a dict; each process must call this."""
    return reduce(values, "mean")


def step_seed(seed: int, step: int, process: int) -> int:
    """The seed of one step of one process in a run's randomness.

    On a CPU torch's generator takes the lowest 32 bits and ignores the others: it is all of them mixed.
    """
    return int(np.random.SeedSequence((seed, step, process)).generate_state(1)[0])


class StopSignal:
    """While it is entered, remembers SIGTERM or Ctrl-C, so that the loop can end its step and save.

    Attributes:
        number: the signal's number, 0 while none came.
    """

    def __enter__(self) -> StopSignal:
        self.number = 0
        self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _: object) -> None:
        self.number = number

    def agreed(self, accelerator: Accelerator) -> int:
        """The number that any training process remembers: they must all stop after the same step."""
        if accelerator.num_processes == 1:
            return self.number
        return int(accelerator.gather(torch.tensor([self.number], device=accelerator.device)).max())


def ignore_signals(_: int) -> None:
    """For processes that load photos: a signal to the whole group must not end them before the loop has saved."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
