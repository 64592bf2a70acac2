from __future__ import annotations

import json

import numpy as np
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from train.prepare.class_frequency import main


def run(*arguments):
    app = Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_counts_of_a_folder_become_json(tmp_path):
    root = tmp_path / "data"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("sky\ncat\n")
    (root / "few.txt").write_text("p\n")
    labels = np.zeros((10, 10), dtype=np.uint8)
    labels[1:4, 1:4] = labels[6:9, 6:9] = 1
    Image.fromarray(labels).save(root / "labels" / "p.png")
    Image.new("RGB", (10, 10)).save(root / "images" / "p.png")

    out = tmp_path / "out.json"
    result = run(root, "mine", "--list", "few.txt", "--out", out)
    assert result.exit_code == 0, result.output
    counts = json.loads(out.read_text())
    assert (counts["dataset"], counts["list"], counts["images"]) == ("mine", "few.txt", 1)
    assert counts["classes"] == [
        {"name": "sky", "images": 1, "label_maps": 1, "regions": 1},
        {"name": "cat", "images": 1, "label_maps": 1, "regions": 2},
    ]
    assert counts["pairs"] == [[1, 1], [1, 1]]
    assert str(tmp_path) not in out.read_text()


def test_a_missing_folder_is_one_sentence(tmp_path):
    result = run(tmp_path / "none", "mine", "--out", tmp_path / "out.json")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and "none" in result.output
    assert not (tmp_path / "out.json").exists()
