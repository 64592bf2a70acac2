"""Run by several processes at a time: python first_step.py FOLDER CONFIG...

Leaves in FOLDER what every process computed in the first step of every configuration, then trains the last one, with
an interruption of which only the second process hears.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from simformer.model import SimFormer
from train import engine, tasks
from train.config import TrainConfig, load_config
from train.data import load_split_of, open_datasets, training_stream
from train.runtime.processes import StopSignal, mean_over_workers


def first_step(config: TrainConfig) -> dict[str, dict[str, torch.Tensor]]:
    """This process's losses, and the gradients after all processes have averaged theirs."""
    accelerator = Accelerator(cpu=True, kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
    train_set, _ = open_datasets(config)
    split = load_split_of(config, train_set)
    torch.manual_seed(0)
    task = tasks.make_task(config, split).train()
    model = accelerator.prepare(task)
    share = (accelerator.process_index, accelerator.num_processes)
    losses = model(training_stream(config, train_set, split, 0, share)[0], mean_over_workers)
    accelerator.backward(sum(losses.values()))
    gradients = {name: p.grad for name, p in task.named_parameters() if p.grad is not None}
    return {"losses": {name: loss.detach() for name, loss in losses.items()}, "gradients": gradients}


class Interruption(StopSignal):
    """SIGTERM comes to the second process alone, during the first step."""

    def __enter__(self) -> StopSignal:
        super().__enter__()
        if Accelerator().process_index == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return self


if __name__ == "__main__":
    tasks.SimFormer = lambda config, **_: SimFormer(config, pretrained=False)
    folder, *paths = map(Path, sys.argv[1:])
    configs = [load_config(path) for path in paths]
    torch.save([first_step(config) for config in configs], folder / f"process{Accelerator().process_index}.pt")
    engine.StopSignal = Interruption
    try:
        raise AssertionError(engine.train(configs[-1]))
    except engine.Interrupted as stopped:
        assert stopped.code == 143
    engine.StopSignal = StopSignal
    assert torch.load(configs[-1].out / "state.pt", weights_only=True)["step"] == 1
    outcome = engine.train(configs[-1], resume=True)
    assert (outcome is None) == (Accelerator().process_index > 0)
