from __future__ import annotations

import csv
import io

import pytest
from made_cells import make_cell, only

from simformer.results import (
    CellScores,
    miou_table,
    of_table,
    per_class_table,
    scores_on_split,
    to_csv,
)
from simformer.splits import load_split


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


def test_any_name_of_a_split_finds_its_place():
    scores = CellScores(miou=50.0, per_class={"gear": 40.0, "bolt": 60.0})
    names = ["a²", "s²", "s10", "s2", "x"]
    cells = [make_cell(dataset="custom", split=name, novel=["bolt"], scores=scores) for name in names]
    splits = list(dict.fromkeys(row.split for row in miou_table(cells)))
    assert sorted(splits) == sorted(names) and splits.index("s2") < splits.index("s10")


# ------------------------------------------------------------------------------------------ roles


def test_csv_leaves_missing_values_empty():
    rows = miou_table([make_cell(), make_cell(method="Basic, Model", points=None, split="s2")])
    table = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert len(table) == len(rows)
    missing = next(row for row in table if row["method"] == "Basic, Model" and row["split"] == "s1")
    assert missing["miou"] == "" and missing["points"] == ""
    assert next(row for row in table if row["method"] == "SimFormer")["files"].endswith("points100.json")
    assert to_csv([]) == ""


def test_tables_and_plots_order_splits_alike():
    # Names of one's own have novel classes of one's own.
    own = make_cell(split="s1").model_copy(update={"split": "animals", "novel": ["cow", "sheep"]})
    rows = miou_table([own, make_cell(split="s2"), make_cell(split="s1")])
    assert list(dict.fromkeys(row.split for row in rows)) == ["s1", "s2", "animals"]
