from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from simformer.cli.check import check
from simformer.datasets.synthetic import write_scenes


@pytest.fixture
def root(tmp_path):
    return write_scenes(tmp_path / "scenes", 6, size=(32, 40), val_share=0.5)


def run(*arguments):
    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_counts_and_notes(root):
    result = run(root)
    assert result.exit_code == 0, result.output
    assert f"{root}: 3 photos in train.txt, 3 photos in val.txt, 6 label maps" in result.stdout
    assert "WRONG" not in result.stdout and "Note: In train.txt" in result.stdout


def test_what_is_wrong_ends_with_status_1(root):
    (root / "images" / "scene_00000.jpg").write_bytes(b"broken")
    result = run(root)
    assert result.exit_code == 1
    assert "WRONG: Photos that cannot be read: 1.\n  Save them again" in result.stdout


def test_json(root):
    answer = json.loads(run(root, "--json").stdout)
    assert answer["photos"] == answer["label_maps"] == 6
    assert len(answer["together"]) == len(answer["classes"])


def test_no_folder_is_one_sentence(tmp_path):
    assert "there is no data set folder" in str(run(tmp_path / "none").exception)
