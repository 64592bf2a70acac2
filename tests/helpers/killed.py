"""What a test runs in a process of its own, to kill it there."""

from __future__ import annotations

from typing import Any

from simformer.model import SimFormer
from train import tasks
from train.config import TrainConfig
from train.engine import train


def run(settings: dict[str, Any], begins: Any) -> None:
    """Go on with a training, from random weights; `begins` (an event of multiprocessing) is set when it does."""
    tasks.SimFormer = lambda config, **_: SimFormer(config, pretrained=False)  # nothing is downloaded
    begins.set()
    train(TrainConfig(**settings), resume=True)
