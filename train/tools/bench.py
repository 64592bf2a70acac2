"""python -m train.tools.bench CONFIG [key=value ...]: what a training step costs, variants and checkouts side by side.

Every variant is a process of its own; they take their steps in turns, so that a busy machine slows all alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from simformer.bench.machine import gigaflops_a_second, processor
from simformer.errors import SimFormerError, exit_on_error
from simformer.paths import ROOT

app = typer.Typer(add_completion=False)

WORKER = Path(__file__).with_name("bench_worker.py")
PARTS = ("data", "forward", "backward", "optimizer")
WARM_UP = 3


@dataclass
class Variant:
    """A training run to be timed.

    Attributes:
        name: its row. folder: the checkout whose code runs. overrides: key=value on top of the configuration.
        seconds: of each step, by PARTS. losses: of each step, warm-up included.
        gigaflops: billions of operations of a step, forward and backward.
    """

    name: str
    folder: Path
    overrides: list[str]
    seconds: list[list[float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    gigaflops: float = 0.0

    def start(self, config: Path, threads: int) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(WORKER), str(config.resolve()), str(threads), *self.overrides],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": str(threads)},
        )

    def step(self, process: subprocess.Popen) -> None:
        """One step more. Raises SimFormerError if the process has ended; its own words are on stderr."""
        assert process.stdin is not None and process.stdout is not None  # pipes
        try:
            process.stdin.write("step\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SimFormerError(f"{self.name}: its process ended before it had taken all steps")
        answer = json.loads(line)
        self.losses.append(answer["loss"])
        self.gigaflops = answer.get("gigaflops", self.gigaflops)
        if len(self.losses) > WARM_UP:
            self.seconds.append(answer["seconds"])

    @property
    def medians(self) -> np.ndarray:
        """Median seconds: of the whole step, then of each of PARTS."""
        seconds = np.array(self.seconds)
        return np.median(np.column_stack((seconds.sum(1), seconds)), axis=0)


def measure(variants: list[Variant], config: Path, threads: int, steps: int) -> None:
    """Fills in `seconds` and `losses` of every variant. Raises SimFormerError."""
    with ExitStack() as stack:
        processes = [stack.enter_context(variant.start(config, threads)) for variant in variants]
        stack.callback(lambda: [process.terminate() for process in processes])
        for _ in range(WARM_UP + steps):
            for variant, process in zip(variants, processes, strict=True):
                variant.step(process)


def table(variants: list[Variant], limit: float) -> str:
    """Seconds a step, how many times as fast as the first row, and how far the first step's loss is from its.

    Args:
        limit: billions of operations in float32 a second that the machine reaches; "of limit" is how much of that a
            step does, drawing crops and the optimizer's work included.
    """
    first = variants[0]
    width = max(len(variant.name) for variant in variants)
    parts = " ".join(f"{part:>9}" for part in PARTS)
    lines = [f"{'':{width}} {'step s':>8} {'faster':>7} {parts} {'loss differs':>13} {'GFLOP':>7} {'of limit':>9}"]
    for variant in variants:
        total, *parts = variant.medians
        differs = abs(variant.losses[0] - first.losses[0]) / abs(first.losses[0])
        lines.append(
            f"{variant.name:{width}} {total:8.3f} {first.medians[0] / total:6.2f}x "
            + " ".join(f"{part:9.3f}" for part in parts)
            + f" {differs:13.1e} {variant.gigaflops:7.1f} {variant.gigaflops / total / limit:9.0%}"
        )
    return "\n".join(lines)


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="a YAML file, for example train/configs/msrc21.yaml")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value settings for all variants")] = None,
    before: Annotated[Path | None, typer.Option(help="another checkout of this project, timed first")] = None,
    threads: Annotated[int, typer.Option(min=1, help="of torch")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="timed steps of each variant")] = 20,
) -> None:
    """Time training steps: as configured, and with what makes them faster or exact."""
    given = overrides or []
    variants = [
        Variant("as configured", ROOT, given),
        Variant("in bf16", ROOT, [*given, "precision=bf16"]),
        Variant("losses at the image's resolution", ROOT, [*given, "loss_resolution=image"]),
    ]
    if before:
        variants.insert(0, Variant(f"as configured, in {before}", before.resolve(), given))
    with exit_on_error():
        measure(variants, config, threads, steps)
    limit = gigaflops_a_second(torch.float32, threads)
    print(table(variants, limit))
    print(f"{processor()}, {threads} threads: products of matrices reach {limit:.0f} GFLOP/s in float32")


if __name__ == "__main__":
    app()
