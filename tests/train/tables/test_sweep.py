"""The table runner: what it runs, skips, reports and leaves for later."""

from __future__ import annotations

import json
import re
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sweeping import PSEUDO, rows, run

from simformer.errors import ConfigError
from simformer.results import is_role_set, read_results, result_name, write_result
from train.config import load_config
from train.tables import sweep
from train.tables.cells import Cell, read_table

# --- tables -----------------------------------------------------------------------------------------------


def test_a_result_on_another_data_set_is_not_taken_over(table, runs, tmp_path, scenes):
    path = table({"name": "a"})
    assert run(path).exit_code == 0 and runs.started == ["a_s1"]
    assert run(path).exit_code == 0 and runs.started == ["a_s1"]
    other = tmp_path / "other"
    other.mkdir()
    for name in ("classes.txt", "train.txt", "val.txt"):
        (other / name).write_text("photo\n" + (scenes / name).read_text())
    run(path, f"data={other}")
    assert runs.started == ["a_s1", "a_s1"]


@pytest.mark.parametrize("cells, words", [
    ([{"name": "a"}, {"name": "a"}], "two cells called a_s1"),
    ([{"name": "a", "splits": ["all"]}], "split=all is what"),
    ([{"name": "a", "splitz": ["s1"]}], "splitz"),
    ([{"name": "a", "settings": {"stepz": 1}}], "stepz"),
    ([{"name": "a", "config": "none.yaml"}], r"none\.yaml"),
    ([{"splits": ["s1"]}], "name"),
    ([{"name": "a"}, {"name": "b", "splits": ["s2"], "teacher": "a", "settings": PSEUDO}], "teacher of b_s2, a, has"),
])  # fmt: skip
def test_a_wrong_table_runs_nothing(table, runs, cells, words):
    with pytest.raises(ConfigError, match=words):
        read_table(table(*cells), [], Path("runs"))
    result = run(table(*cells))
    assert result.exit_code == 1 and re.search(words, result.output) and not runs.started


# --- role sets drawn at random ------------------------------------------------------------------------------

DRAW = {"count": 4, "novel": [2, 12], "seed": 3}
MSRC = {"dataset": "msrc21", "novel": None}


def test_role_sets_of_own_classes_are_drawn_from_the_data_folder(table, runs, tmp_path):
    draw = {"count": 2, "novel": [2, 3]}
    path = table(
        {"name": "a", "random_splits": draw}, {"name": "b", "random_splits": draw, "teacher": "a", "settings": PSEUDO}
    )
    assert run(path, "--results", str(tmp_path / "results")).exit_code == 0 and len(runs.started) == 4
    kept = read_results(tmp_path / "results")
    assert len(kept) == 4 and {len(cell.novel) for cell in kept} == {2, 3}
    assert all(set(cell.novel) <= set(runs.dataset.classes) for cell in kept)
    with pytest.raises(ConfigError, match=r"random_splits needs the classes in .*classes\.txt, which cannot be read"):
        read_table(path, [f"data={tmp_path / 'none'}"], tmp_path / "runs")


def test_results_on_role_sets_are_found_again(table, runs, tmp_path):
    path, results = table({"name": "plus", "random_splits": DRAW}, **MSRC), tmp_path / "results"
    assert run(path, "--results", str(results)).exit_code == 0 and len(runs.started) == 4
    kept = read_results(results)
    assert len(kept) == 4 and all(is_role_set("msrc21", cell.split) for cell in kept)
    assert all(set(cell.novel) == set(cell.config["novel"]) for cell in kept)
    again = run(path, "--results", str(results), "--runs", str(tmp_path / "elsewhere"))
    assert again.exit_code == 0 and len(runs.started) == 4


def test_sealed_results_are_kept_apart(table, runs, tmp_path):
    drawn = {"name": "test", "random_splits": {**DRAW, "count": 1}, "sealed": True}
    path, results = table({"name": "open", "settings": {"split": "s1"}}, drawn, **MSRC), tmp_path / "results"
    first = run(path, "--results", str(results))
    assert first.exit_code == 0, first.output
    [sealed] = [name for name in runs.started if name.startswith("test")]
    assert rows(first.output)[sealed] == "sealed      2 steps      3 s"
    assert [cell.split for cell in read_results(results)] == ["s1"]
    [hidden] = read_results(results / "sealed")
    assert hidden.split == sealed.removeprefix("test_") and "sealed" not in hidden.model_dump_json()
    assert run(path, "--results", str(results), "--runs", str(tmp_path / "elsewhere")).exit_code == 0
    assert len(runs.started) == 2
    # Neither is looked for in the other's place.
    (results / hidden.file).write_bytes((results / "sealed" / hidden.file).read_bytes())
    (results / "sealed" / hidden.file).unlink()
    assert run(path, "--results", str(results), "--runs", str(tmp_path / "third")).exit_code == 0
    assert runs.started[2:] == [sealed]
    opened = table({"name": "open"}, {**drawn, "sealed": False}, **MSRC)
    (results / hidden.file).unlink()
    assert run(opened, "--results", str(results), "--runs", str(tmp_path / "fourth")).exit_code == 0
    assert runs.started[3:] == [sealed]


def test_sealed_cells_heed_their_shipped_teacher(table, runs, tmp_path):
    group = {"name": "test", "random_splits": {**DRAW, "count": 1}, "sealed": True}
    path = table({**group, "settings": {**PSEUDO, "teacher": "cam"}}, **MSRC)
    results = tmp_path / "results"
    assert run(path, "--results", str(results)).exit_code == 0
    [student] = read_results(results / "sealed")
    for days, started in ((-1, 1), (1, 2)):
        newer = {"date": student.date + timedelta(days=days), "weights": "cam.safetensors", "config": {}}
        write_result(student.model_copy(update=newer), results)
        run(path, "--results", str(results), "--runs", str(tmp_path / "elsewhere"))
        assert len(runs.started) == started


@pytest.mark.parametrize("group, words", [
    ({"random_splits": DRAW, "splits": ["s1"]}, "a has both splits and random_splits"),
    ({"random_splits": {**DRAW, "first": 5}}, "the first 5 of 4 role sets are asked for"),
    ({"random_splits": {**DRAW, "sets": 5}}, "sets: Extra inputs"),
    ({"random_splits": {**DRAW, "count": 0}}, "count"),
    ({"random_splits": {**DRAW, "novel": [5]}}, "novel"),
    ({"random_splits": {**DRAW, "novel": [5, 21]}}, "4 role sets of 5 to 21 of 21 classes cannot be drawn"),
    ({"random_splits": DRAW, "settings": {"dataset": "msrc22"}}, "there are no splits of 'msrc22'"),
])  # fmt: skip
def test_a_wrong_draw_runs_nothing(table, runs, group, words):
    result = run(table({"name": "a", **group}, **MSRC))
    assert result.exit_code == 1 and words in result.output and not runs.started
    assert len(result.output.strip().splitlines()) == 1


# --- running ----------------------------------------------------------------------------------------------


def test_finished_cells_are_skipped_and_everything_is_printed(table, runs):
    path = table({"name": "ours", "seeds": [0, 1]}, {"name": "basic", "settings": {"pairing": "none"}})
    first = run(path)
    assert first.exit_code == 0, first.output
    assert runs.started == ["ours_s1", "ours_s1_seed1", "basic_s1"]
    assert rows(first.output) == {
        "ours_s1": "10.0   10.0   10.0      2 steps      3 s",
        "ours_s1_seed1": "11.0   11.0   11.0      2 steps      3 s",
        "basic_s1": "10.0   10.0   10.0      2 steps      3 s",
    }
    again = run(path)
    assert again.exit_code == 0 and len(runs.started) == 3
    assert rows(again.output) == rows(first.output)


def test_a_cell_of_other_settings_is_not_finished(table, runs):
    path = table({"name": "ours"})
    run(path)
    run(path, "workers=3", "evaluate_every=1")  # the same run
    assert runs.started == ["ours_s1"]
    run(path, "steps=3")
    assert runs.started == ["ours_s1", "ours_s1"]


def test_results_are_copied_and_found_again(table, runs, tmp_path):
    path, results = table({"name": "ours"}), tmp_path / "results"
    assert run(path, "--results", str(results)).exit_code == 0
    [cell] = read_results(results)
    assert cell.method == "SimFormer"
    again = run(path, "--runs", str(tmp_path / "elsewhere"), "--results", str(results))
    assert again.exit_code == 0 and runs.started == ["ours_s1"]
    run(path, "--runs", str(tmp_path / "elsewhere"), "schedule=another")  # of another table
    assert runs.started == ["ours_s1", "ours_s1"]


def test_a_failed_cell_does_not_stop_the_others(table, runs):
    runs.fails = {"a_s1"}
    result = run(table({"name": "a"}, {"name": "b"}))
    assert result.exit_code == 1 and runs.started == ["a_s1", "b_s1"]
    assert re.match(r"failed \(1\), see .*a_s1/log\.txt", rows(result.output)["a_s1"])
    assert rows(result.output)["b_s1"].startswith("10.0")
    runs.fails = set()
    assert run(table({"name": "a"}, {"name": "b"})).exit_code == 0  # only what is missing
    assert runs.started == ["a_s1", "b_s1", "a_s1"]


def test_jobs_at_a_time(table, runs):
    cells = [{"name": name} for name in "abcd"]
    runs.lasts = {"a_s1", "b_s1"}
    run(table(*cells), "--jobs", "2", "--minutes", "0.005")
    assert runs.started == ["a_s1", "b_s1"] and runs.together == 2


def test_when_time_is_up_cells_are_asked_to_save(table, runs):
    runs.lasts = {"b_s1"}
    result = run(table({"name": "a"}, {"name": "b"}, {"name": "c"}), "--minutes", "0.02")
    assert result.exit_code == 1
    table_rows = rows(result.output)
    assert table_rows["a_s1"].startswith("10.0")
    assert table_rows["b_s1"] == "stopped, will go on from its state"
    assert table_rows["c_s1"] == "waiting"
    assert all(process.poll() is not None for process in runs.processes)


def test_a_result_of_other_settings_is_not_replaced(table, runs, tmp_path):
    path, results = table({"name": "ours"}), ["--results", str(tmp_path / "results")]
    assert run(path, *results).exit_code == 0
    [measured] = read_results(tmp_path / "results")
    shorter = run(path, "steps=1", *results, "--runs", str(tmp_path / "elsewhere"))
    assert shorter.exit_code == 1 and f"steps={measured.steps}, not 1" in shorter.output
    assert read_results(tmp_path / "results") == [measured]
    assert read_results(tmp_path / "elsewhere" / "table" / "ours_s1")[0].steps == 1  # nothing is lost
    alike = {"pairing": "none", "model": {"queries": 9}}
    both = run(table({"name": "a", "settings": alike}, {"name": "b", "settings": {"pairing": "none"}}), *results)
    assert both.exit_code == 1 and "b_s1: " in both.output and "is not replaced" in both.output


def test_a_published_result_stays(table, runs, tmp_path):
    path, results = table({"name": "ours"}), tmp_path / "results"
    assert run(path, "--results", str(results)).exit_code == 0
    [cell] = read_results(results)
    published = cell.model_copy(update={"weights": "split1.safetensors"})
    write_result(published, results)
    assert run(path, "--results", str(results)).exit_code == 0
    assert read_results(results)[0].weights == "split1.safetensors"


def test_a_cell_that_cannot_be_started(table, runs, monkeypatch):
    start = Cell.start

    def full_disk(cell, threads):
        if cell.name == "b_s1":
            raise OSError(28, "No space left on device")
        start(cell, threads)

    monkeypatch.setattr(Cell, "start", full_disk)
    runs.lasts = {"a_s1"}
    result = run(table({"name": "a"}, {"name": "b"}), "--jobs", "2")
    assert result.exit_code == 1
    assert re.search(r"Error: b_s1 cannot be started in .*: no space left on device", result.output)
    assert [process.wait() for process in runs.processes] in ([143], [-15])  # the other was asked to save


# --- on a Ray cluster ---------------------------------------------------------------------------------------


@pytest.fixture
def commands(runs, monkeypatch):
    """In the place of `python -m train`, on the cluster too: a command that leaves the result that `Runs` makes."""

    def command(cell: Cell) -> list[str]:
        if cell.name in runs.fails:
            return [sys.executable, "-c", "raise SystemExit(1)"]
        if cell.name in runs.lasts:
            code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(143)); print(1); time.sleep(60)"
            return [sys.executable, "-c", code]
        result = runs.result(load_config(cell.config, [*cell.overrides, f"out={cell.out}"]))
        code = "import pathlib, sys; pathlib.Path(sys.argv[1], 'cell.json').write_text(sys.argv[2]); print('done')"
        return [sys.executable, "-c", code, str(cell.out.resolve()), result.model_dump_json()]

    monkeypatch.setattr(Cell, "command", property(command))
    return runs


def test_cells_on_a_cluster(table, commands, ray_address):
    commands.fails = {"b_s1"}
    path = table({"name": "a"}, {"name": "b"}, {"name": "c", "seeds": [4]})
    result = run(path, "--ray", ray_address)
    assert result.exit_code == 1 and not commands.started, result.output
    table_rows = rows(result.output)
    assert table_rows["a_s1"].startswith("10.0") and table_rows["c_s1_seed4"].startswith("14.0")
    assert re.match(r"failed \(1\), see .*b_s1/log\.txt", table_rows["b_s1"])
    assert (path.parent / "runs" / "table" / "a_s1" / "log.txt").read_text() == "done\n"
    [cell] = read_results(path.parent / "runs" / "table" / "c_s1_seed4")[:1]
    assert cell.seed == 4
    assert (path.parent / "runs" / "table" / "c_s1_seed4" / result_name(cell)).is_file()  # written from what came back


def test_cells_on_a_cluster_are_asked_to_save(table, commands, ray_address):
    commands.lasts = {"a_s1", "b_s1", "c_s1"}
    result = run(table({"name": "a"}, {"name": "b"}, {"name": "c"}), "--ray", ray_address, "--minutes", "0.1")
    assert result.exit_code == 1
    table_rows = rows(result.output)
    assert table_rows["a_s1"] == table_rows["b_s1"] == "stopped, will go on from its state"
    assert table_rows["c_s1"] == "waiting"


# --- for real ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_cell(settings, table, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep.signal, "signal", lambda *_: None)
    config = settings(method="cam", model={}, frozen_backbone=True, crop=32, image_size=32, cam_scales=[1.0])
    (tmp_path / "cam.yaml").write_text(json.dumps(config.model_dump(mode="json", exclude={"out"})))
    result = run(table({"name": "cam", "config": "cam.yaml"}))
    out = tmp_path / "runs" / "table" / "cam_s1"
    assert result.exit_code == 0, (result.output, (out / "log.txt").read_text())
    assert "2 steps" in rows(result.output)["cam_s1"]
    assert (out / "state.pt").is_file() and (out / "weights.safetensors").is_file()


def test_a_result_is_kept_while_others_still_run(table, runs, tmp_path, monkeypatch):
    kept, results = {}, tmp_path / "results"

    def start(cell, threads):
        kept[cell.name] = len(list(results.glob("*.json")))
        runs.start(cell, threads)

    monkeypatch.setattr(Cell, "start", start)
    assert run(table({"name": "a", "splits": ["one", "two", "three"]}), "--results", str(results)).exit_code == 0
    assert kept == {"a_one": 0, "a_two": 1, "a_three": 2}


def test_another_setting_of_the_teacher_is_named(table, runs, tmp_path):
    path, results = table({"name": "ours"}, distill_from="partial_labels"), ["--results", str(tmp_path / "results")]
    assert run(path, *results).exit_code == 0
    other = run(path, "partial_labels.eps=0.5", *results, "--runs", str(tmp_path / "elsewhere"))
    assert other.exit_code == 1 and "partial_labels.eps=0.3, not 0.5" in other.output
