"""Where a number comes from."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from simformer.evaluation import Scores
from simformer.results import cell_split, read_results, write_result
from simformer.splits import Split, custom_split, dataset_classes, load_split
from train.tables import provenance
from train.tables.provenance import (
    Outcome,
    command_line,
    commit_id,
    device_name,
    differing_setting,
    result_cell,
    table_name,
)

SPLIT = Split("custom", "custom", ("sky", "grass", "disc"), (0, 2))


def outcome(**changes):
    scores = Scores(miou=50.0, base=60.0, novel=40.0, per_class=[40.0, 60.0, None], pixels=99, images=4)
    return replace(Outcome(SPLIT, scores, 12.5, 0.1, "c0ffee", "a device", None, None), **changes)


def test_the_command_makes_the_same_run_again():
    given = [
        "data=/home/me/photos",
        "out=x",
        "novel=[traffic light, sky]",
        "steps=3",
        "workers=9",
        "cache=false",
        "evaluate_every=2",
    ]
    command = command_line(Path("train/configs/own_data.yaml"), given)
    assert shlex.split(command) == [
        "python", "-m", "train", "train/configs/own_data.yaml", "data=DATA", "novel=[traffic light, sky]", "steps=3",
    ]  # fmt: skip


def test_nobody_elses_folders_are_published(settings):
    pseudo = {"pairing": "none", "pseudo": "cam"}
    here = "/home/me/runs/cam/weights.safetensors"
    assert result_cell(settings(**pseudo, teacher=here), outcome(), "").config["teacher"] == "cam/weights.safetensors"
    relative = "runs/a/w.safetensors"
    for given, published in ((here, "TEACHER"), (f'"{here}"', "TEACHER"), (relative, relative)):
        assert shlex.split(command_line(Path("x.yaml"), [f"teacher={given}"]))[-1] == f"teacher={published}"


def test_settings_that_differ():
    noted = {"steps": 5, "seed": 0, "teacher": "a", "workers": 2, "gone": 1}
    assert differing_setting(noted, noted | {"teacher": "b", "workers": 0, "new": 1}) is None
    assert differing_setting(noted, noted | {"steps": 6, "seed": 1}) == "seed"


def test_a_cell(settings):
    cell = result_cell(settings(seed=4), outcome(), "the command")
    assert (cell.method, cell.split, cell.seed, cell.steps, cell.points) == ("SimFormer", "custom", 4, 2, 10)
    assert (cell.scores.miou, cell.scores.base, cell.scores.novel) == (50, 60, 40)
    assert cell.scores.per_class == {"sky": 40, "grass": 60, "disc": None}
    assert (cell.images, cell.pixels, cell.wall_seconds) == (4, 99, 12.5)
    assert (cell.commit, cell.device, cell.command) == ("c0ffee", "a device", "the command")
    assert cell.novel == ["sky", "disc"] and cell.date.tzinfo is not None
    assert not {"data", "out"} & cell.config.keys()  # nobody else's folders


def test_a_role_set_is_noted_with_its_novel_classes(settings, tmp_path):
    split = replace(custom_split(dataset_classes("msrc21"), ["dog", "cow"], "r02-1234"), dataset="msrc21")
    config = settings(dataset="msrc21", split="r02-1234", novel=["dog", "cow"])
    scores = Scores(miou=5.0, base=5.0, novel=5.0, per_class=[5.0] * 21, pixels=1, images=1)
    cell = result_cell(config, outcome(split=split, scores=scores), "")
    assert (cell.dataset, cell.split, cell.novel) == ("msrc21", "r02-1234", ["cow", "dog"])
    write_result(cell, tmp_path)
    [read] = read_results(tmp_path)
    assert cell_split(read) == split
    shipped = load_split("msrc21", "s1")
    cell = result_cell(settings(dataset="msrc21", novel=None), outcome(split=shipped, scores=scores), "")
    assert (cell.split, cell.novel) == ("s1", None)
    whole = load_split("msrc21", "all_base")
    for of_all in (split, whole):  # once for all roles, and read together
        write_result(
            result_cell(settings(method="cam", seed=len(of_all.novel)), outcome(split=of_all, scores=scores), ""),
            tmp_path,
        )
    assert [(each.method, each.novel) for each in read_results(tmp_path)[:2]] == [("CAM", None)] * 2


@pytest.mark.parametrize("changes, method", [
    ({"method": "cam"}, "CAM"),
    ({"novel": [], "pairing": "none"}, "FullyOracle"),
])  # fmt: skip
def test_a_method_trained_once_has_no_roles(settings, changes, method):
    split = load_split("msrc21", "all_base")
    scores = Scores(miou=5.0, base=5.0, novel=None, per_class=[5.0] * 21, pixels=1, images=1)
    cell = result_cell(settings(**changes), outcome(split=split, scores=scores), "")
    assert (cell.method, cell.split, cell.novel, cell.points) == (method, "all", None, None)
    assert cell.scores.base is None and cell.scores.novel is None
    own = custom_split([f"class {i}" for i in range(21)], ["class 3"] if method == "CAM" else [])
    cell = result_cell(settings(**changes), outcome(split=own, scores=scores), "")
    assert (cell.split, cell.novel) == ("all", [])  # on the data set's own classes, whichever of them are novel


def test_own_data_with_masks_for_every_class_is_trained_once(settings):
    split = custom_split(("sky", "grass", "disc"), [])
    cell = result_cell(settings(novel=[], pairing="none"), outcome(split=split), "")
    assert (cell.method, cell.split, cell.novel, cell.scores.base) == ("FullyOracle", "all", [], None)


def test_held_out_scores_have_a_table_of_their_own(settings):
    assert table_name(settings(schedule="mine")) == "mine"
    assert table_name(settings(schedule="mine", hold_out=0.2)) == "mine_held_out"


def test_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert commit_id() == ""  # no history

    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git("add", "code.py")
    git("commit", "-q", "-m", "one")
    assert re.fullmatch(r"[0-9a-f]{40}", commit_id())
    (tmp_path / "code.py").write_text("2\n")
    assert re.fullmatch(r"[0-9a-f]{40}-dirty", commit_id())
    monkeypatch.setenv("PATH", "")
    assert commit_id() == ""  # no git


def test_device():
    assert re.fullmatch(r"\S+ CPU, \d+ threads", device_name(torch.device("cpu")))


def test_settings_of_the_teacher_are_compared_one_by_one():
    ours = {"steps": 1, "partial_labels": {"eps": 0.3, "kept": 400}}
    assert differing_setting(ours, {"steps": 1, "partial_labels": {"eps": 0.3}}) is None
    assert differing_setting(ours, {"steps": 1}) is None
    assert differing_setting(ours, {"steps": 1, "partial_labels": {"eps": 0.4}}) == "partial_labels.eps"
