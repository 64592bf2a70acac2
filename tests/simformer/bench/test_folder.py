from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from simformer import __main__ as command_line
from simformer.bench import folder, machine, networks
from simformer.bench.folder import FolderRates, measure_folder
from simformer.cli.bench import folder_text
from simformer.datasets.synthetic import write_scenes
from simformer.errors import ConfigError


@pytest.fixture
def scenes(tmp_path):
    return write_scenes(tmp_path / "scenes", 4, size=(48, 64))


def test_every_way_through_a_folder_is_timed_and_the_folder_is_left_as_it_was(shipped, scenes, monkeypatch):
    monkeypatch.setattr(folder, "ROUNDS", 1)
    monkeypatch.setattr(folder, "MOST_PHOTOS", 3)
    before = sorted(scenes.rglob("*"))
    rates = measure_folder(scenes / "images", shipped / "split1.safetensors", "torch", 2)
    assert (rates.engine, rates.photos) == ("torch", 3) and sorted(scenes.rglob("*")) == before
    assert min(rates.one_by_one, rates.a_photo_a_thread, rates.reading, rates.network, rates.writing) > 0


def test_a_rate_is_the_median_of_the_rounds(monkeypatch):
    clock = iter([100, 101, 101, 111, 111, 113])
    monkeypatch.setattr(networks.time, "perf_counter", lambda: next(clock))
    assert folder._in_turns([lambda: None], 10) == [5.0]


def test_the_slowest_stage_is_what_the_whole_is_compared_with():
    rates = FolderRates("torch", 9, 20.0, 27.0, 90.0, 30.0, 45.0)
    assert rates.slowest == 30.0
    assert "27.0 with a photo a thread (90% of the slowest stage alone" in folder_text(rates)


def test_without_photos_or_weights_nothing_is_timed(shipped, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="there are no photos in"):
        measure_folder(tmp_path, shipped / "split1.safetensors", "torch", 1)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["simformer", "bench", "--photos", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        command_line.main()


def test_the_command_tells_of_every_engine(shipped, scenes, monkeypatch):
    monkeypatch.setattr(folder, "ROUNDS", 1)
    monkeypatch.setattr(folder, "MOST_PHOTOS", 2)
    monkeypatch.setattr(networks, "subjects", lambda **_: [])
    monkeypatch.setattr(machine, "gigaflops_a_second", lambda *_: 100.0)
    words = ["bench", "--photos", str(scenes / "images"), "--json"]
    printed = CliRunner().invoke(command_line.app, words, catch_exceptions=False)
    found = json.loads(printed.output)["folder"]
    assert [one["engine"] for one in found] == networks.engines() and all(one["slowest"] > 0 for one in found)
