from __future__ import annotations

import subprocess
import sys

import pytest
from compared import write_models, write_photos
from PIL import Image

from simformer.checkpoint import load_checkpoint, save_checkpoint
from simformer.paths import ROOT


@pytest.fixture
def command(tmp_path, make_card):
    """command(*words) -> the finished process of `simformer compare` on a small drawn data set."""
    runs = write_models(tmp_path / "runs", make_card)
    root = write_photos(tmp_path / "scenes", 5, ("sky", "grass", "cat"))

    def run(*words):
        environment = {"PATH": "", "PYTHONPATH": str(ROOT), "SIMFORMER_CACHE": str(tmp_path / "cache")}
        words = [sys.executable, "-m", "simformer", "compare", str(root), "--weights", str(runs), *map(str, words)]
        return subprocess.run(
            words,
            cwd=tmp_path,
            env={**environment, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.mark.slow
def test_a_figure(command, tmp_path):
    done = command("--split", "s1", "--columns", "cam,SimFormer", "--rows", 2, "--out", "figure.png", "--cell", 100)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()[0].removeprefix("figure.png: ").split(", ")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == 5 * 102 + 2
        image.load()
        assert image.text["Photos"].split(", ") == shown and len(shown) == 2
    assert "Dotted: where only one of SimFormer and CAM is right." in done.stdout
    # What was made is kept.
    assert len(list((tmp_path / "cache" / "predictions").glob("*/*.png"))) % 2 == 0


@pytest.mark.slow
def test_a_method_whose_name_holds_a_comma(command, tmp_path):
    weights = tmp_path / "runs" / "simformer_s1" / "weights.safetensors"
    tensors, card = load_checkpoint(weights)
    card = card.model_copy(update={"training": {**card.training, "mask_share": 0.25, "unmasked": "labels"}})
    save_checkpoint(weights, tensors, card)
    name = "SimFormer, masks on 25 % of the photos"
    words = ["--columns", f"CAM,{name}", "--pair", f"{name},CAM", "--rows", 1, "--out", "figure.png"]
    done = command("--split", "s1", *words)
    assert done.returncode == 0, done.stderr
    assert f"only one of {name} and CAM is right" in done.stdout


@pytest.mark.slow
def test_photos_by_name(command, tmp_path):
    photos = "scene_00002,scene_00000"
    done = command("--split", "s1", "--photos", photos, "--pair", "SimFormer,FullyOracle", "--out", "figure.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "figure.png") as image:
        image.load()
        assert image.text["Photos"] == "scene_00002, scene_00000"
    assert "SimFormer and FullyOracle" in done.stdout


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--split", "s9"], "there is no split 's9' here; there is s1"),
        (["--split", "s1", "--columns", "RETAB"], "there is no model of the method 'RETAB' for this split"),
        (["--split", "s1", "--pair", "CAM"], "--pair takes two methods with a comma between, not 'CAM'"),
        (["--split", "s1", "--photos", "none"], "the list names no photo 'none'"),
        (["--split", "s1", "--class", "dog"], "there is no class 'dog'"),
    ],
)
def test_mistakes_are_one_sentence(command, tmp_path, words, sentence):
    done = command(*words, "--out", "figure.png")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Error: {sentence}")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "figure.png").exists()
