from __future__ import annotations

import builtins

import numpy as np
import pytest
from typer.testing import CliRunner

from simformer.__main__ import app
from simformer.errors import CheckpointError, ConfigError
from simformer.interop.onnx import OnnxPredictor, write_onnx
from simformer.predictor import Predictor

REASON = "ONNX is not installed: pip install onnx onnxscript onnxruntime"


@pytest.fixture(scope="module")
def onnx_file(tiny_models, tmp_path_factory):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=REASON)
    path = tmp_path_factory.mktemp("onnx") / "split1.onnx"
    words = ["onnx", "--weights", str(tiny_models / "split1.safetensors"), "--out", str(path)]
    result = CliRunner().invoke(app, [*words, "--height", "80", "--width", "100"])
    assert result.exit_code == 0, result.output
    assert "3 classes, input 1 x 3 x 80 x 100" in result.output
    return path


@pytest.mark.slow
def test_the_same_scores(onnx_file, tiny_models):
    ours, theirs = Predictor.load(tiny_models / "split1.safetensors", "cpu"), OnnxPredictor(onnx_file)
    photo = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    # The predictor sees its short side at 64 pixels, as the card says; the file was made for 80 x 100.
    ours.card = ours.card.model_copy(update={"image_size": 80})
    expected, found = ours.segment(photo), theirs.segment(photo)
    assert found.score_maps.shape == expected.score_maps.shape == (3, 20, 25)
    difference = np.linalg.norm(found.score_maps - expected.score_maps)
    assert difference < 1e-4 * np.linalg.norm(expected.score_maps)
    assert np.mean(found.labels == expected.labels) > 0.999
    assert found.classes == expected.classes and found.roles == expected.roles
    # Of other proportions it is stretched.
    assert theirs.segment(photo[:32, :32]).labels.shape == (32, 32)


def test_its_speed_is_measured(onnx_file, monkeypatch, tmp_path):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("simformer.bench.networks.peak_memory", lambda *_: None)
    monkeypatch.setattr("simformer.bench.networks.subjects", lambda **_: [])
    result = CliRunner().invoke(app, ["bench", "--onnx", str(onnx_file), "--repeats", "1", "--threads", "1"])
    assert result.exit_code == 0, result.output
    [line] = [line for line in result.output.splitlines() if "split1.onnx, ONNX Runtime, 80x100" in line]
    assert line.split()[-4:] == ["-", "-", "80", "px"]


def test_what_is_no_such_file(onnx_file, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(onnx_file.read_bytes()[:999])
    for name in ("bad.onnx", "none.onnx"):
        with pytest.raises(CheckpointError, match=f"{name} is not an ONNX file"):
            OnnxPredictor(tmp_path / name)


@pytest.mark.parametrize(("model", "size", "words"), [("split1", (30, 40), "multiples of 4"), ("cam", (64, 64), "CAM")])
def test_what_cannot_be_written(tiny_models, tmp_path, model, size, words):
    pytest.importorskip("onnxscript", reason=REASON)
    with pytest.raises(ConfigError, match=words):
        write_onnx(tiny_models / f"{model}.safetensors", tmp_path / "x.onnx", size)
    assert not list(tmp_path.iterdir())


def test_without_the_packages(tiny_models, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("onnx"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="pip install"):
        write_onnx(tiny_models / "split1.safetensors", tmp_path / "x.onnx", (64, 64))
    with pytest.raises(ConfigError, match="pip install"):
        OnnxPredictor(tmp_path / "x.onnx")
