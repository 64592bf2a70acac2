"""What the loop needs to know of other processes: signals, and the training processes beside it."""

from __future__ import annotations

import signal
import time
from types import FrameType
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

    A second Ctrl-C ends the process at once: its user does not want to wait for the step.

    Attributes:
        number: the signal's number, 0 while none came.
    """

    def __enter__(self) -> StopSignal:
        self.number = 0
        self._before: dict[int, Any] = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.number = number
        if number == signal.SIGINT:
            signal.signal(number, self._before[number])

    def agreed(self, accelerator: Accelerator) -> int:
        """The number that any training process remembers: they must all stop after the same step."""
        if accelerator.num_processes == 1:
            return self.number
        everyones = accelerator.gather(torch.tensor([self.number], device=accelerator.device))
        return int(torch.as_tensor(everyones).max())


class StepClock:
    """Seconds of training steps, of this process and of those that it goes on from.

    A step in which the process was stopped (SIGSTOP, a suspended job) counts as many seconds as the step before, and
    none if it is the first: the pause is no training.

    Attributes:
        seconds: so far.
    """

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds
        self._latest = 0.0

    def __enter__(self) -> StepClock:
        self._before = signal.signal(signal.SIGCONT, self._went_on)
        self.restart()
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGCONT, self._before)

    def restart(self) -> None:
        """What was since the last step does not count."""
        self._paused = False
        self._begun = time.monotonic()

    def tick(self) -> None:
        """A step ends here, the next one begins."""
        if not self._paused:
            self._latest = time.monotonic() - self._begun
        self.seconds += self._latest
        self.restart()

    def _went_on(self, number: int, frame: FrameType | None) -> None:
        self._paused = True


def ignore_signals(_: int) -> None:
    """For processes that load photos: a signal to the whole group must not end them before the loop has saved."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
