"""Takes training steps when told to and says how long they took: what `train.tools.bench` runs in each checkout.

A script, not a module: `train` and `simformer` are those of the checkout it is started in.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext, suppress
from importlib import import_module
from itertools import pairwise

# Where a checkout has what its precision means on a CPU, the latest first.
PRECISION = (
    ("train.runtime.precision", "cpu_matmul_precision"),
    ("train.runtime.precision", "products"),
    ("train.precision", "products"),
)


def main() -> None:
    sys.path.pop(0)  # this script's own folder, a package of one of the checkouts
    config_path, threads, *overrides = sys.argv[1:]
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    torch.set_num_threads(int(threads))
    from train.config import load_config
    from train.data import load_split_of, open_datasets, training_stream
    from train.optimization import make_optimizer
    from train.tasks import make_task

    precision = nullcontext  # of the earliest checkouts
    for module, name in PRECISION:
        with suppress(ImportError, AttributeError):
            precision = getattr(import_module(module), name)
            break
    config = load_config(config_path, overrides)
    torch.manual_seed(config.seed)
    dataset, _ = open_datasets(config)
    split = load_split_of(config, dataset)
    task = make_task(config, split)
    optimizer = make_optimizer(task, config)
    if config.channels_last:
        task.to(memory_format=torch.channels_last)
    task.train()
    options = {}
    if getattr(config, "distill_from", "simnet") == "partial_labels":
        from train.pseudo.teacher import open_maps, open_teacher

        options["teacher"] = open_maps(config, open_teacher(config, dataset, split))
    stream = training_stream(config, dataset, split, 0, **options)
    for index in range(len(stream)):
        if not sys.stdin.readline():
            return
        torch.manual_seed(index)
        marks = [time.perf_counter()]
        batch = stream[index]
        marks.append(time.perf_counter())
        # Of the first step, which warms up, operations are counted.
        counter = FlopCounterMode(display=False) if index == 0 else None
        with precision(config.precision), counter or nullcontext():
            losses = task(batch)
            marks.append(time.perf_counter())
            total = torch.stack([*losses.values()]).sum()
            total.backward()
        marks.append(time.perf_counter())
        torch.nn.utils.clip_grad_norm_(task.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        marks.append(time.perf_counter())
        seconds = [after - before for before, after in pairwise(marks)]
        counted = {"gigaflops": counter.get_total_flops() / 1e9} if counter else {}
        print(json.dumps({"seconds": seconds, "loss": total.item(), **counted}), flush=True)


main()
