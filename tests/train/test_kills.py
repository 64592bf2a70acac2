"""A training that is killed again and again ends as one that is left alone: `python -m pytest -m long -n 0`."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import killed
import pytest
import torch

from simformer.checkpoint import load_checkpoint

KILLS = 20
# Steps that a run may take before it is killed; they have to last for all kills.
MOST_STEPS, STEPS = 6, 150


def written(path: Path) -> int:
    """When a file was last replaced, 0 = never."""
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_run_killed_at_random_times_resumes_bit_equal(settings, tmp_path):
    context = multiprocessing.get_context("fork")  # so that nobody imports torch twenty times

    def start(name: str):
        config = settings(steps=STEPS, learning_rate=1e-3, checkpoint_every=1, out=tmp_path / name)
        begins = context.Event()
        process = context.Process(target=killed.run, args=(config.model_dump(mode="json"), begins))
        process.start()
        assert begins.wait(120)
        return process

    started = time.monotonic()
    process = start("whole")
    while not (tmp_path / "whole" / "state.pt").exists():
        assert process.is_alive()
        time.sleep(0.01)
    before = time.monotonic() - started
    process.join()
    assert process.exitcode == 0
    stepping = (time.monotonic() - started - before) * MOST_STEPS / STEPS
    chance = random.Random(0)
    path = tmp_path / "killed" / "state.pt"
    reached = [0]
    for number in range(KILLS):
        saved = written(path)
        process = start("killed")
        # Every other one while it begins, the others while it steps and saves.
        if number % 2:
            while written(path) == saved:
                assert process.is_alive()
                time.sleep(0.002)
        time.sleep(chance.uniform(0, stepping if number % 2 else before))
        process.kill()
        process.join()
        assert process.exitcode == -9, "it was over before it was killed"
        reached.append(torch.load(path, weights_only=True)["step"] if path.exists() else 0)
    assert reached == sorted(reached) and len(set(reached)) > KILLS // 2 and reached[-1] < STEPS
    process = start("killed")
    process.join()
    assert process.exitcode == 0
    whole, resumed = (load_checkpoint(tmp_path / name / "weights.safetensors")[0] for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    states = [torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "killed")]
    assert states[0]["step"] == states[1]["step"] == STEPS
    assert all(torch.equal(value, states[1]["task"][name]) for name, value in states[0]["task"].items())
    print(f"{KILLS} kills, after {reached} steps")
