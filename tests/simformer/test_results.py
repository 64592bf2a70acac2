from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from simformer.errors import ConfigError, SimFormerError
from simformer.results import (
    CellScores,
    ResultCell,
    class_iou_by_role,
    largest_novel_share,
    miou_by_masked,
    miou_table,
    of_table,
    per_class_table,
    published,
    published_note,
    read_results,
    result_name,
    scores_on_split,
    to_csv,
    write_result,
)
from simformer.results_cells import cell_split
from simformer.splits import dataset_classes, load_split

CLASSES = dataset_classes("msrc21")


def make_cell(iou=50.0, **changes):
    """A cell in which every class has the IoU `iou`, or those of a dictionary (None elsewhere)."""
    per_class = {name: iou.get(name) for name in CLASSES} if isinstance(iou, dict) else dict.fromkeys(CLASSES, iou)
    present = [value for value in per_class.values() if value is not None]
    fields = {
        "method": "SimFormer",
        "dataset": "msrc21",
        "split": "s1",
        "seed": 0,
        "steps": 4000,
        "points": 100,
        "scores": CellScores(miou=sum(present) / len(present) if present else None, per_class=per_class),
        "images": 100,
        "pixels": 6_000_000,
        "config": {"lr": 0.0003, "crop": 224},
        "command": "python -m train configs/msrc21.yaml",
        "commit": "abc",
        "device": "CPU",
        "wall_seconds": 700.0,
        "date": datetime(2026, 1, 2, tzinfo=UTC),
        "schedule": "cpu",
    }
    return ResultCell(**{**fields, **changes})


# ------------------------------------------------------------------------------------------ files


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


def test_any_name_of_a_split_finds_its_place():
    scores = CellScores(miou=50.0, per_class={"gear": 40.0, "bolt": 60.0})
    names = ["a²", "s²", "s10", "s2", "x"]
    cells = [make_cell(dataset="custom", split=name, novel=["bolt"], scores=scores) for name in names]
    splits = list(dict.fromkeys(row.split for row in miou_table(cells)))
    assert sorted(splits) == sorted(names) and splits.index("s2") < splits.index("s10")


# ------------------------------------------------------------------------------------------ tables


def test_scores_on_a_split_leave_absent_classes_out():
    # Novel in s1: tree, sheep, ...; cow is base.
    cell = make_cell({"tree": 10.0, "sheep": 30.0, "cow": 80.0})
    assert scores_on_split(cell, load_split("msrc21", "s1")) == {
        "all": pytest.approx(40.0),
        "base": 80.0,
        "novel": 20.0,
    }
    # Novel in s2: cow, ...; nothing else of it has an IoU.
    assert scores_on_split(cell, load_split("msrc21", "s2"))["novel"] == 80.0
    assert scores_on_split(cell, load_split("msrc21", "s3"))["novel"] is None


def only(rows, **fields):
    found = [row for row in rows if all(getattr(row, key) == value for key, value in fields.items())]
    assert len(found) == 1, found
    return found[0]


def test_seeds_are_averaged_with_their_spread():
    rows = miou_table([make_cell(40.0, seed=0), make_cell(46.0, seed=1), make_cell(49.0, seed=2)])
    row = only(rows, split="s1", group="novel")
    assert (row.miou, row.lowest, row.highest, row.seeds) == (pytest.approx(45.0), 40.0, 49.0, 3)
    assert len(row.files) == 3


def test_a_missing_cell_is_a_row_without_a_number():
    cells = [make_cell(), make_cell(split="s2"), make_cell(method="Basic Model", points=None)]
    rows = miou_table(cells)
    assert [row.split for row in rows if row.method == "Basic Model" and row.group == "all"] == ["s1", "s2"]
    missing = only(rows, method="Basic Model", split="s2", group="novel")
    assert (missing.miou, missing.lowest, missing.seeds, missing.files) == (None, None, 0, ())
    wanted = miou_table(cells, methods=["RETAB*", "SimFormer"], splits=["s3", "s1"])
    assert [(row.method, row.split, row.miou) for row in wanted if row.group == "all"] == [
        ("RETAB*", "s3", None),
        ("RETAB*", "s1", None),
        ("SimFormer", "s3", None),
        ("SimFormer", "s1", 50.0),
    ]
    classes = per_class_table(cells, methods=["Basic Model"])
    assert only(classes, split="s2", class_name="cow").iou is None
    assert only(classes, split="s1", class_name="cow").iou == 50.0


def test_what_models_reached_by_the_classes_they_had_masks_for():
    cells = [make_cell(40.0, seed=0), make_cell({"tree": 30.0, "cow": 90.0}, seed=1), make_cell(20.0, split="s2")]
    cells += [make_cell(70.0, method="Basic Model", points=None), make_cell(99.0, points=150)]
    found = miou_by_masked(cells)
    split = load_split("msrc21", "s1")
    assert len(found) == 2
    masked = frozenset(split.classes[index] for index in split.base)
    assert found[masked] == {"all": pytest.approx(50.0), "base": 65.0, "novel": 35.0}


def test_methods_trained_once_stand_on_every_split():
    oracle = make_cell({"tree": 60.0, "cow": 90.0}, method="FullyOracle", split="all", points=None)
    rows = miou_table([make_cell(), make_cell(split="s2"), oracle])
    assert only(rows, method="FullyOracle", split="s1", group="novel").miou == 60.0
    assert only(rows, method="FullyOracle", split="s2", group="novel").miou == 90.0
    assert only(rows, method="FullyOracle", split="s2", group="all").miou == 75.0
    assert {row.split for row in rows} == {"s1", "s2"}
    assert {row.split for row in miou_table([oracle])} == {"all"}
    roles = {row.class_name: row.role for row in per_class_table([make_cell(), oracle]) if row.method == "FullyOracle"}
    assert roles["tree"] == "novel" and roles["cow"] == "base"


def test_splits_come_in_order_and_tables_stay_apart():
    cells = [make_cell(split=name) for name in ("s9", "s2", "s1")] + [make_cell(70.0, schedule="gpu")]
    rows = [row for row in miou_table(cells) if row.group == "all"]
    assert [(row.table, row.split, row.miou) for row in rows] == [
        ("cpu", "s1", 50.0),
        ("cpu", "s2", 50.0),
        ("cpu", "s9", 50.0),
        ("gpu", "s1", 70.0),
    ]
    assert [cell.schedule for cell in of_table(cells, "msrc21", "gpu")] == ["gpu"]
    assert of_table(cells, "ade20k") == []


def test_numbers_of_points_stay_apart():
    rows = miou_table([make_cell(40.0, points=50), make_cell(44.0), make_cell(46.0, points=150)])
    assert [(row.points, row.miou) for row in rows if row.group == "all"] == [
        (50, 40.0),
        (100, 44.0),
        (150, 46.0),
    ]


# ------------------------------------------------------------------------------------------ roles


def test_iou_by_role_is_a_mean_over_splits():
    cells = [
        make_cell({"tree": 40.0, "cow": 70.0}, split="s1", seed=0),
        make_cell({"tree": 50.0, "cow": 72.0}, split="s1", seed=1),
        make_cell({"tree": 80.0, "cow": 60.0}, split="s2"),
        make_cell({"tree": 90.0, "cow": 81.0}, split="s3"),
        make_cell({"tree": 1.0}, split="s1", points=50),
        make_cell({"tree": 1.0}, split="s1", method="Basic Model", points=None),
        make_cell({"tree": 30.0}, split="all", method="CAM", points=None),
        make_cell({"tree": 88.0}, split="all", method="FullyOracle", points=None),
    ]
    roles = class_iou_by_role(cells)
    assert roles["tree"] == {"novel": 45.0, "base": 85.0, "cam": 30.0, "oracle": 88.0}
    # Cow is novel in s2; seeds of s1 are averaged before splits are.
    assert roles["cow"] == {"novel": 60.0, "base": pytest.approx((71.0 + 81.0) / 2)}
    assert "sky" not in roles
    assert class_iou_by_role(cells, points=50)["tree"]["novel"] == 1.0
    only_fifty = [cell for cell in cells if cell.points == 50]
    assert class_iou_by_role(only_fifty)["tree"]["novel"] == 1.0
    assert largest_novel_share(cells) == pytest.approx(5 / 21)
    assert largest_novel_share([*cells, make_cell(split="s9")]) == pytest.approx(10 / 21)
    assert largest_novel_share([]) is None


def test_tables_are_never_averaged_together():
    with pytest.raises(ConfigError, match="gpu"):
        class_iou_by_role([make_cell(), make_cell(split="s2", schedule="gpu")])
    with pytest.raises(ConfigError, match="crop"):
        class_iou_by_role([make_cell(), make_cell(split="s2", label_rule="crop")])
    # CAM may have been trained on a schedule of its own.
    assert class_iou_by_role([make_cell(), make_cell(split="all", method="CAM", schedule="cam", points=None)])


# ------------------------------------------------------------------------------------------ published, CSV


def test_published_numbers():
    rows = published()
    assert only(rows, table="points", points=150, split="s3").miou == 31.6
    assert only(rows, table="pairing", method="Self-Pair", split="s2").miou == 24.3
    assert only(rows, table="more novel classes", method="SimFormer*", split="s9").miou == 24.0
    assert only(rows, table="more novel classes", method="FullyOracle", split="s8").miou == 36.5
    assert {(row.origin, row.dataset, row.group) for row in rows} == {("published", "coco_stuff_10k", "novel")}
    # The tables agree where they overlap.
    for split in ("s1", "s2", "s3", "s4"):
        same = only(rows, table="points", points=100, split=split).miou
        assert only(rows, table="pairing", method="SimFormer", split=split).miou == same
    assert len(rows) == 12 + 12 + 24
    assert "NeurIPS 2022" in published_note()


def test_csv_leaves_missing_values_empty():
    rows = miou_table([make_cell(), make_cell(method="Basic, Model", points=None, split="s2")])
    table = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert len(table) == len(rows)
    missing = next(row for row in table if row["method"] == "Basic, Model" and row["split"] == "s1")
    assert missing["miou"] == "" and missing["points"] == ""
    assert next(row for row in table if row["method"] == "SimFormer")["files"].endswith("points100.json")
    assert to_csv([]) == ""


def test_reading_results_needs_no_plotting_or_network(run_python):
    heavy = "{'plotly', 'torch', 'gradio'} & set(sys.modules)"
    assert run_python(f"import sys, simformer.results, simformer.costs; print({heavy})").strip() == "set()"
