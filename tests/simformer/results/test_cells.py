from __future__ import annotations

import json

import pytest
from made_cells import make_cell
from pydantic import ValidationError

from simformer.errors import SimFormerError
from simformer.results import (
    CellScores,
    cell_split,
    miou_table,
    read_results,
    result_name,
    write_result,
)


def test_written_cells_are_read_back(tmp_path):
    cells = [make_cell(), make_cell(12.5, method="CAM", split="all", points=None, weights="cam.safetensors")]
    for cell in cells:
        path = write_result(cell, tmp_path / "results")
        assert path.name == result_name(cell)
        assert "file" not in json.loads(path.read_text())
    read = {cell.method: cell for cell in read_results(tmp_path / "results")}
    for cell in cells:
        assert read[cell.method].file == result_name(cell)
        assert read[cell.method] == cell.model_copy(update={"file": result_name(cell)})


def test_names_tell_cells_apart():
    cells = [
        make_cell(),
        make_cell(seed=1),
        make_cell(points=50),
        make_cell(split="s2"),
        make_cell(method="SimFormer*"),
        make_cell(method="Basic Model", points=None),
        make_cell(schedule="gpu"),
        make_cell(label_rule="crop"),
        make_cell(method="SimFormer+"),
    ]
    assert len({result_name(cell) for cell in cells}) == len(cells)
    assert result_name(cells[0]) == "cpu_msrc21_simformer_s1_seed0_points100.json"
    assert result_name(cells[4]) == "cpu_msrc21_simformer-star_s1_seed0_points100.json"
    # A repetition replaces; a name never leaves the folder.
    assert result_name(make_cell(70.0)) == result_name(cells[0])
    assert "/" not in result_name(make_cell(schedule="../../etc"))


def test_a_broken_file_is_named_and_does_not_sink_the_others(tmp_path):
    write_result(make_cell(), tmp_path)
    good = json.loads(make_cell().model_dump_json())
    per_class = {**good["scores"]["per_class"], "cow": 500}
    broken = {
        "half": '{"method": "SimF',
        "empty": "{}",
        "percent": json.dumps({**good, "scores": {**good["scores"], "per_class": per_class}}),
        "mean": json.dumps({**good, "scores": {**good["scores"], "miou": 99.0}}),
        "split": json.dumps({**good, "split": "s77"}),
        "classes": json.dumps({**good, "dataset": "ade20k"}),
        "extra": json.dumps({**good, "mean_iou": 3}),
    }
    for name, text in broken.items():
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "unreadable.json").mkdir()
    problems = []
    assert len(read_results(tmp_path, report=problems.append)) == 1
    assert {problem.split(".json")[0] for problem in problems} == {*broken, "unreadable"}


def test_no_folder_no_cells(tmp_path):
    assert read_results(tmp_path / "none") == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SimFormerError, match="cannot make the folder"):
        write_result(make_cell(), tmp_path / "file" / "results")


def test_rounded_means_are_accepted_wrong_ones_are_not():
    assert CellScores(miou=33.3, per_class={"a": 33.333, "b": 33.333, "c": None}).miou == 33.3
    with pytest.raises(ValidationError):
        CellScores(miou=33.0, per_class={"a": 33.333})
    with pytest.raises(ValidationError):
        CellScores(miou=0.0, per_class={"a": None})


def test_roles_of_a_split_that_does_not_ship():
    scores = CellScores(miou=50.0, per_class={"gear": 40.0, "bolt": 60.0})
    cell = make_cell(dataset="custom", split="custom", novel=["bolt"], scores=scores)
    assert cell_split(cell).roles == ("base", "novel")
    with pytest.raises(ValidationError, match="nut"):
        make_cell(dataset="custom", split="custom", novel=["nut"], scores=scores)
    with pytest.raises(ValidationError):
        make_cell(dataset="custom", split="custom", scores=scores)
    rows = miou_table([cell])
    assert {row.group: row.miou for row in rows} == {"all": 50.0, "base": 40.0, "novel": 60.0}


def test_one_name_for_two_choices_of_novel_classes_is_not_averaged(tmp_path):
    scores = CellScores(miou=50.0, per_class={"gear": 40.0, "bolt": 60.0})
    own = {"dataset": "custom", "split": "custom", "scores": scores}
    write_result(make_cell(**own, novel=["bolt"]), tmp_path)
    write_result(make_cell(**own, novel=["gear"], seed=1), tmp_path)
    write_result(make_cell(**own, novel=["gear"], schedule="other"), tmp_path)
    write_result(make_cell(**own | {"split": "cheap"}, novel=["gear"]), tmp_path)
    problems = []
    cells = read_results(tmp_path, report=problems.append)
    assert sorted((cell.schedule, cell.split, *cell.novel) for cell in cells) == [
        ("cpu", "cheap", "gear"),
        ("cpu", "custom", "bolt"),
        ("other", "custom", "gear"),
    ]
    assert len(problems) == 1 and "seed1" in problems[0] and "other classes or roles than in" in problems[0]


@pytest.mark.parametrize(
    "names", [("日本", "中国"), ("big cats", "big-cats"), ("Animals", "animals"), ("a" * 300, "a" * 301)]
)
def test_names_of_own_splits_tell_cells_apart(tmp_path, names):
    scores = CellScores(miou=50.0, per_class={"gear": 40.0, "bolt": 60.0})
    for name in names:
        write_result(make_cell(dataset="custom", split=name, novel=["bolt"], scores=scores), tmp_path)
    assert {cell.split for cell in read_results(tmp_path)} == set(names)


def test_reading_results_needs_no_plotting_or_network(run_python):
    heavy = "{'plotly', 'torch', 'gradio'} & set(sys.modules)"
    assert run_python(f"import sys, simformer.results, simformer.costs; print({heavy})").strip() == "set()"
