"""Two training processes compute what one computes; signals, and the time of steps."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from first_step import first_step
from tiny import TINY

from simformer.checkpoint import load_checkpoint
from simformer.paths import ROOT
from train.engine import train
from train.runtime import processes
from train.runtime.processes import StepClock, StopSignal, ignore_signals, mean_over_workers, step_seed

METHOD_LOSSES = ("classification", "focal", "dice", "complementary")


def launch(folder: Path, configs: list[Path]) -> list[list[dict]]:
    """What two processes, started as `torchrun` starts them, leave behind."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    shared |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    script = ROOT / "tests/helpers/first_step.py"
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(folder), *map(str, configs)],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            output = process.communicate(timeout=250)[0]
            assert process.returncode == 0, output
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"process{rank}.pt") for rank in range(2)]


@pytest.mark.slow
def test_two_processes_train_as_one(settings, tmp_path):
    # No dropout: its random numbers are each process's own, as are the points of SimNet's losses.
    # Without the head's features the backbone's last convolution is unused, which must not stall the processes.
    model = TINY | {"dropout": 0, "decoder_layers": 2, "queries": 12, "head_features": False}
    # With this seed the processes have unequal numbers of base masks, and but one of them an image with a novel class.
    options = {"model": model, "batch": 4, "learning_rate": 1e-3, "novel": ["disc", "star"], "seed": 1}
    configs = [settings(**options, pairing=pairing, out=tmp_path / "two") for pairing in ("cross", "none")]
    paths = [tmp_path / f"{config.pairing}.yaml" for config in configs]
    for path, config in zip(paths, configs, strict=True):
        path.write_text(json.dumps(config.model_dump(mode="json")))
    first, second = launch(tmp_path, paths)

    for config, one, other in zip(configs, first, second, strict=True):
        alone = first_step(config)
        assert alone["losses"].keys() == one["losses"].keys()
        for name in METHOD_LOSSES:
            mean = (one["losses"][name] + other["losses"][name]) / 2
            assert float(mean) == pytest.approx(float(alone["losses"][name]), rel=1e-5), name
            assert one["losses"][name] != other["losses"][name]  # each has its own photos
        assert one["gradients"].keys() == other["gradients"].keys() == alone["gradients"].keys()
        assert all(torch.equal(one["gradients"][name], other["gradients"][name]) for name in one["gradients"])
    for name, gradient in alone["gradients"].items():  # of the last configuration, in which nothing is random
        assert torch.allclose(one["gradients"][name], gradient, rtol=1e-3, atol=1e-5 * float(gradient.norm())), name

    train(configs[-1].model_copy(update={"out": tmp_path / "one"}))
    together, alone = (load_checkpoint(tmp_path / name / "weights.safetensors")[0] for name in ("two", "one"))
    difference = sum(float((together[name] - value).square().sum()) for name, value in alone.items()) ** 0.5
    assert difference < 1e-3 * sum(float(value.square().sum()) for value in alone.values()) ** 0.5


def test_alone():
    accelerator = Accelerator(cpu=True)
    assert mean_over_workers({"a": torch.tensor([3.0])})["a"].tolist() == [3]
    with StopSignal() as stop:
        assert stop.agreed(accelerator) == 0
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.agreed(accelerator) == signal.SIGINT


def test_processes_that_load_photos_outlive_a_signal():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ignore_signals(0)
        for number in handlers:
            os.kill(os.getpid(), number)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_seeds_steps_and_processes_draw_other_numbers():
    drawn = set()
    for seed, step, process in itertools.product((0, 1, 7), (1, 2, 1500), (0, 1)):
        torch.manual_seed(step_seed(seed, step, process))
        drawn.add(float(torch.rand((), dtype=torch.float64)))
    assert len(drawn) == 3 * 3 * 2
    assert step_seed(1, 2, 0) == step_seed(1, 2, 0)


def test_a_second_ctrl_c_ends_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # of a group and of the one that watches it
        assert stop.number == signal.SIGTERM


def test_a_step_that_was_paused_counts_as_the_one_before(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with StepClock(100.0) as clock:
        for seconds, paused in ((2, False), (3600, True), (3, False)):
            now[0] += seconds
            if paused:
                os.kill(os.getpid(), signal.SIGCONT)  # what ends every pause
            clock.tick()
        now[0] += 60
        clock.restart()
        assert clock.seconds == 100 + 2 + 2 + 3


def test_stop_signal_remembers_and_gives_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal() as stop:
        assert stop.number == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
