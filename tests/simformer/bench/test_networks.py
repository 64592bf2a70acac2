from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from simformer import __main__ as command_line
from simformer.bench import networks as bench
from simformer.cli.bench import table


def test_rows_without_shipped_weights_say_that_they_are_random(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    rows = bench.subjects()
    assert all(row.random for row in rows)
    assert [row.name for row in rows[:3]] == ["SimFormer", "CAM", "SimFormer and CAM"]
    paper = [row.networks[0] for row in rows[3:5]]
    assert {card.architecture["backbone"] for card in paper} == {"resnet50"}
    assert [card.image_size for card in paper] == [rows[0].networks[0].image_size, 640]


def test_plain_and_exact_rows_are_pairs():
    plain, exact = bench.exact_subjects()[:2]
    assert plain.networks == exact.networks
    assert (plain.photo, plain.inference, exact.inference) == ((320, 480), "plain", "exact")
    card = plain.networks[0]
    assert (len(card.classes), card.architecture["queries"], card.image_size) == (171, 100, 320)


def test_each_inference_runs(make_card):
    for inference in ("fast", "exact", "plain"):
        predictors = bench.load(bench.Subject("x", (make_card(),), (40, 64), inference))
        bench.run(predictors, (40, 64))
        assert isinstance(predictors[0], bench.PlainPredictor) == (inference == "plain")


def test_rows_with_shipped_weights(shipped):
    rows = bench.subjects(paper=False)
    assert [row.random for row in rows] == [False] * 5
    assert [row.inference for row in rows] == ["fast"] * 3 + ["openvino"] * 2
    assert rows[2].networks == (shipped / "split1.safetensors", shipped / "cam.safetensors")


def test_turns_are_taken_after_a_warm_up():
    calls = []
    seconds = bench.take_turns([lambda: calls.append("a"), lambda: calls.append("b")], repeats=3)
    assert calls == ["a"] * 2 + ["b"] * 2 + ["a", "b"] * 3
    assert [len(times) for times in seconds] == [3, 3]


def test_slow_rows_stop_early_but_not_before_quartiles_can_be_read(monkeypatch):
    monkeypatch.setattr(bench, "ROW_SECONDS", 0.005)
    seconds = bench.take_turns([lambda: time.sleep(0.003), lambda: None], repeats=8)
    assert [len(times) for times in seconds] == [bench.FEWEST_RUNS, 8]


def test_measure(shipped, monkeypatch):
    monkeypatch.setattr(bench, "peak_memory", lambda subject, threads: (90.0, 100.0))
    before = torch.get_num_threads()
    alone, cam, both, _, compiled = bench.measure(bench.subjects(paper=False), threads=1, repeats=3)
    assert torch.get_num_threads() == before
    assert both.parameters == alone.parameters + cam.parameters
    assert both.gigaflops == pytest.approx(alone.gigaflops + cam.gigaflops, rel=1e-3)
    assert compiled.parameters is None and compiled.gigaflops is None
    assert (alone.runs, alone.image_size, alone.random) == (3, 64, False)
    assert 0 < alone.quartiles[0] <= alone.seconds <= alone.quartiles[1]


@pytest.mark.slow
def test_memory_is_that_of_a_fresh_process(shipped):
    heap = np.ones(500 * 2**20, dtype=np.uint8)  # of this process: must not count
    before, after = bench.peak_memory(bench.subjects(paper=False)[0], threads=1)
    assert heap[-1] == 1
    assert 50 < before < after < bench.peak_of_this_process() - 250


def row(**changes):
    fields = {
        "name": "SimFormer", "seconds": 0.05, "quartiles": (0.04, 0.0625), "runs": 20,
        "memory": (400.2, 512.4),
        "parameters": 4_800_000, "gigaflops": 3.5, "image_size": 224, "random": False,
    }  # fmt: skip
    return bench.Row(**{**fields, **changes})


def test_table_by_hand():
    rows = [row(), row(name="other", random=True, memory=None, gigaflops=None)]
    header, first, second = table(rows, limit=140).splitlines()
    assert header.split()[0] == "network"
    assert first.split() == [
        "SimFormer",
        "0.0500",
        "0.0400",
        "0.0625",
        "20",
        "512",
        "400",
        "4.8",
        "M",
        "3.50",
        "50%",
        "224",
        "px",
    ]
    assert second.split()[0] == "other*"
    assert second.split()[5:7] == second.split()[9:11] == ["-", "-"]
    assert len(header) == len(first) == len(second)


@pytest.mark.parametrize("as_json", [True, False])
def test_command(shipped, monkeypatch, as_json):
    monkeypatch.setattr(bench, "measure", lambda rows, **options: [row(name=each.name) for each in rows])
    result = CliRunner().invoke(command_line.app, ["bench", "--no-paper", *(["--json"] if as_json else [])])
    assert result.exit_code == 0, result.output
    if as_json:
        printed = json.loads(result.stdout)
        assert printed["threads"] == 2
        assert [each["name"] for each in printed["rows"]] == [each.name for each in bench.subjects(paper=False)]
        assert min(printed["gigaflops_a_second"].values()) > 0
        assert printed["rows"][0]["seconds"] == 0.05
    else:
        assert "320x240" in result.stdout
        assert "random weights" not in result.stdout
