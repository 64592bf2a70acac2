from __future__ import annotations

import csv
import json

import pytest
import typer
from drawn_classes import write_three_classes
from made_cells import make_cell
from typer.testing import CliRunner

from simformer.cli.cost import cost
from simformer.datasets.synthetic import SYNTHETIC_CLASSES, write_scenes
from simformer.errors import SimFormerError
from simformer.results import CellScores, ResultCell, write_result
from simformer.splits import dataset_classes
from simformer.trainings.own import OwnRuns

CLASSES = dataset_classes("msrc21")


def run(*arguments):
    app = typer.Typer()
    app.command()(cost)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def printed(*arguments):
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def measured(tmp_path):
    """SimFormer on s1 to s5, CAM and FullyOracle, with IoU 80 in masks, 50 in image labels, 40 by CAM."""
    from simformer.splits import load_split

    folder = tmp_path / "results"
    methods = [("SimFormer", f"s{n}") for n in range(1, 6)] + [("CAM", "all"), ("FullyOracle", "all")]
    for method, split in methods:
        if method == "SimFormer":
            roles = load_split("msrc21", split).roles
            iou = [80.0 if role == "base" else 50.0 for role in roles]
        else:
            iou = [40.0 if method == "CAM" else 82.0] * len(CLASSES)
        scores = CellScores(miou=sum(iou) / len(iou), per_class=dict(zip(CLASSES, iou, strict=True)))
        fields = {"images": 1, "pixels": 1, "config": {}, "command": "", "commit": "", "device": ""}
        cell = ResultCell(
            method=method, dataset="msrc21", split=split, seed=0, steps=1, scores=scores, wall_seconds=1,
            date="2026-01-01", schedule="cpu", **fields,
        )  # fmt: skip
        write_result(cell, folder)
    return folder


def test_text(measured):
    result = run("--results", measured, "--images", 500, "--budget", 300)
    assert result.exit_code == 0, result.output
    for part in ("500 photos, 21 classes", "All masks", "Weak-shot", "Image labels only", "Best for budget"):
        assert part in result.stdout
    assert "mIoU 82.0" in result.stdout and "mIoU 40.0" in result.stdout
    assert "missing" not in result.stdout.split("Image labels only")[0].split("novel 50.0")[0].split("mIoU 82.0")[0]


def test_json(measured):
    report = printed("--results", measured, "--split", "s2", "--rate", 20, "--quality-control", 50)
    masks, weak, labels = report["scenarios"]
    assert masks["money"] > weak["money"] > labels["money"]
    # 21 answers of one second for each of 1,000 photos, half as much again for checking, 20 an hour.
    assert labels["money"] == pytest.approx(21 * 1000 * 1.5 / 3600 * 20)
    assert weak["expected"]["miou"] == pytest.approx((16 * 80 + 5 * 50) / 21)
    assert report["frontier"][0]["masked"] == []
    assert report["best_for_budget"] is None
    assert report["inputs"]["classes"][0]["name"] == "building"


def test_budget_and_plan(measured, tmp_path):
    plan = tmp_path / "plan.csv"
    report = printed("--results", measured, "--budget", 400, "--plan", plan)
    best = report["best_for_budget"]
    assert best["money"] <= 400
    with plan.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class_name"] for row in rows if row["annotation"] == "mask"] == best["masked"]
    assert sum(float(row["money"]) for row in rows) == pytest.approx(best["money"])


def test_without_measurements_costs_are_there_and_miou_is_missing(tmp_path):
    result = run("--results", tmp_path)
    assert result.exit_code == 0, result.output
    assert "mIoU missing" in result.stdout


def test_own_classes(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("class,share,instances\ngear,0.5,2\nbolt,0.25,1\n")
    report = printed("--csv", path, "--mask", "gear", "--results", tmp_path, "--images", 3600, "--rate", 1)
    weak = report["scenarios"][1]
    assert weak["masked"] == ["gear"]
    assert weak["hours"] == pytest.approx(0.5 * 2 * 79 + 0.5 + 1)
    assert weak["expected"]["missing"] == ["gear", "bolt"]


def test_the_papers_numbers_for_coco_stuff(tmp_path):
    path = tmp_path / "coco.csv"
    lines = [f'"{name}",0.1' for name in dataset_classes("coco_stuff_10k")]
    path.write_text("\n".join(["class,share", *lines]))
    report = printed("--csv", path, "--dataset", "coco_stuff_10k", "--split", "s6", "--results", tmp_path)
    weak = report["scenarios"][1]
    assert weak["expected"]["novel"] == 26.3
    assert weak["expected"]["miou"] is None
    assert report["frontier"] == []


def test_a_folder_becomes_a_worklist_and_a_page_to_print(tmp_path, shipped):
    data = write_three_classes(tmp_path / "scenes", (48, 64))
    drawn = data / "labels" / "scene_00000.png"
    drawn.unlink()
    (data / "image_labels.csv").write_text("photo,class\nscene_00000,cat\n")
    words = ["--data", data, "--mask", "cat", "--mask", "sky", "--results", tmp_path, "--html", tmp_path / "plan.html"]
    result = run(*words, "--worklist", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "5 photos, 3 classes" in result.stdout and "the photos in train.txt of scenes" in result.stdout
    assert "1 of 1 photos that need masks of sky, cat" in result.stderr and "split1 has drawn" in result.stderr
    with (tmp_path / "out" / "worklist.csv").open(newline="") as file:
        assert [row["photo"] for row in csv.DictReader(file)] == ["scene_00000.jpg"]
    page = (tmp_path / "plan.html").read_text()
    assert "1. scene_00000.jpg" in page and "the photos in train.txt of scenes" in page
    checked = run(*words, "--worklist", tmp_path / "all", "--again", "--photos", 3, "--weights", "none")
    assert "3 of 5 photos" in checked.stderr and "has drawn" not in checked.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--mask", "cows"], "did you mean 'cow'"),
        (["--mask", "cow", "--split", "s1"], "not both"),
        (["--split", "s88"], "s88"),
        (["--images", "0"], "images"),
        (["--dataset", "ade20k"], "no class frequencies"),
        (["--budget", "1e9"], "what masks would gain is not known"),
        (["--schedule", "nope"], "no measured results of the table 'msrc21/nope'; there are none, paper"),
        (["--quality-control", "0.2"], "in percent of the annotation time: 20, not 0.2"),
        (["--quality-control", "-1"], "quality_control"),
        (["--budget", "-1"], "the budget is -1.00 USD"),
        (["--csv", "none.csv"], "none.csv"),
        (["--csv", "a.csv", "--data", "b"], "not both"),
        (["--worklist", "out"], "which --data names"),
    ],
)
def test_problems_are_sentences(tmp_path, arguments, named):
    result = run("--results", tmp_path, *arguments)
    assert isinstance(result.exception, SimFormerError)
    assert named in str(result.exception)


def test_of_several_tables_the_fullest_answers_unless_another_is_named(measured):
    other = json.loads(next(measured.glob("*simformer_s1*")).read_text())
    (measured / "other.json").write_text(json.dumps({**other, "split": "s2", "schedule": "gpu"}))
    assert printed("--results", measured)["expected_from"] == "msrc21/cpu"
    assert printed("--results", measured, "--schedule", "gpu")["expected_from"] == "msrc21/gpu"
    result = run("--results", measured, "--schedule", "nope")
    assert result.exit_code and "there are msrc21/cpu, msrc21/gpu, shares, paper" in str(result.exception)


def test_a_broken_result_is_a_warning(measured):
    (measured / "bad.json").write_text("{")
    result = run("--results", measured)
    assert result.exit_code == 0
    assert "bad.json" in result.stderr


def test_a_pilot_on_ones_own_classes_stands_beside_the_shipped_results(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMFORMER_RUNS", str(tmp_path / "runs"))
    data = write_scenes(tmp_path / "scenes", 6, size=(48, 64))
    words = ["--data", data, "--budget", 10]
    assert printed(*words)["evidence"] == "other data sets"
    for place, more in ((tmp_path / "results", ["--results", tmp_path / "results"]), (OwnRuns(data).results, [])):
        for method, iou in (("FullyOracle", 70.0), ("CAM", 20.0)):
            scores = CellScores(miou=iou, per_class=dict.fromkeys(SYNTHETIC_CLASSES, iou))
            own = {"dataset": "custom", "schedule": "own", "split": "all", "novel": []}
            write_result(make_cell(method=method, points=None, scores=scores, **own), place)
        report = printed(*words, *more)
        assert (report["evidence"], report["expected_from"]) == ("pilot", "custom/own")
        assert [one["expected"]["miou"] for one in report["scenarios"]][::2] == [70, 20]
