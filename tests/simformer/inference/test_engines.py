"""PyTorch and OpenVINO give the same, and "auto" takes the faster."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from simformer.checkpoint import load_network
from simformer.errors import ConfigError
from simformer.inference import engines, openvino
from simformer.inference.shared_backbone import SharedBackbones
from simformer.predictor import Predictor

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMFORMER_CACHE", str(tmp_path / "cache"))


def photo(height: int, width: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["split1", "cam"])
@pytest.mark.parametrize("size", [(64, 64), (64, 100), (30, 200)])
def test_openvino_gives_what_pytorch_gives(shipped, name, size):
    plain, compiled = (Predictor.load(shipped / f"{name}.safetensors", "cpu", engine=e) for e in engines.ENGINES)
    assert (plain.engine, compiled.engine) == ("torch", "openvino")
    image = photo(*size)
    expected, found = plain.segment(image), compiled.segment(image)
    spread = expected.score_maps.max()
    assert np.abs(found.score_maps - expected.score_maps).max() < 0.02 * spread  # bfloat16 has 8 bits
    assert found.labels.shape == size


def test_several_photos_at_once(shipped):
    predictor = Predictor.load(shipped / "split1.safetensors", "cpu", engine="openvino")
    photos = [predictor.prepare(photo(64, 80)) for _ in range(3)]
    together = predictor.segment_batch(photos)
    for alone, one in zip(photos, together, strict=True):
        assert (predictor.segment_batch([alone])[0].labels == one.labels).all()


def test_what_is_compiled_is_read_the_next_time(shipped, tmp_path, monkeypatch):
    file, image = shipped / "split1.safetensors", photo(64, 64)
    first = Predictor.load(file, "cpu", engine="openvino").segment(image)
    blobs = sorted((tmp_path / "cache/openvino").glob("*.blob"))
    assert len(blobs) == 3  # backbone, pixel decoder, transformer decoder
    monkeypatch.setattr(openvino, "_traced", lambda *_: pytest.fail("compiled again"))
    assert (Predictor.load(file, "cpu", engine="openvino").segment(image).score_maps == first.score_maps).all()


def test_a_damaged_cache_is_made_again(shipped, tmp_path):
    file, image = shipped / "split1.safetensors", photo(64, 64)
    first = Predictor.load(file, "cpu", engine="openvino").segment(image)
    for blob in (tmp_path / "cache/openvino").glob("*.blob"):
        blob.write_bytes(blob.read_bytes()[:100])
    assert (Predictor.load(file, "cpu", engine="openvino").segment(image).labels == first.labels).all()


def test_engines_share_no_backbone(shipped):
    backbones = SharedBackbones()
    plain, compiled, cam = (
        Predictor.load(shipped / f"{name}.safetensors", "cpu", engine=engine, backbones=backbones)
        for name, engine in (("split1", "torch"), ("split1", "openvino"), ("cam", "openvino"))
    )
    assert plain.network.backbone is not compiled.network.backbone
    assert cam.network.backbone is compiled.network.backbone


@pytest.mark.parametrize(("faster", "expected"), [("torch", "torch"), ("openvino", "openvino")])
def test_auto_takes_the_faster_and_measures_once(shipped, monkeypatch, faster, expected):
    calls = []

    def compared(network):
        calls.append(network)
        return {engine: 1.0 if engine == faster else 2.0 for engine in engines.ENGINES}

    monkeypatch.setattr(engines, "compare_engines", compared)
    for _ in range(2):
        assert Predictor.load(shipped / "split1.safetensors", "cpu", engine="auto").engine == expected
    assert len(calls) == 1


def test_both_are_measured(shipped):
    network, _ = load_network(shipped / "cam.safetensors", "cpu")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    seconds = engines.compare_engines(network)
    assert set(seconds) == set(engines.ENGINES) and min(seconds.values()) > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_damaged_memory_is_measured_again(shipped, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "compare_engines", lambda _: {"torch": 1.0, "openvino": 2.0})
    Predictor.load(shipped / "split1.safetensors", "cpu", engine="auto")
    [file] = (tmp_path / "cache/openvino").glob("faster-*.json")
    file.write_text("[1]")
    assert Predictor.load(shipped / "split1.safetensors", "cpu", engine="auto").engine == "torch"
    assert json.loads(file.read_text()) == {"torch": 1.0, "openvino": 2.0}


def test_what_it_cannot_do_is_said(shipped, monkeypatch):
    file = shipped / "split1.safetensors"
    with pytest.raises(ConfigError, match="there is no engine 'fast'; there are torch, openvino and auto"):
        Predictor.load(file, "cpu", engine="fast")
    with pytest.raises(ConfigError, match="not exact inference"):
        Predictor.load(file, "cpu", engine="openvino", exact=True)
    assert Predictor.load(file, "cpu", engine="auto", exact=True).engine == "torch"
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"requirements/openvino\.txt"):
        Predictor.load(file, "cpu", engine="openvino")


def test_auto_without_openvino_is_pytorch(shipped, monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: None)
    assert Predictor.load(shipped / "split1.safetensors", "cpu", engine="auto").engine == "torch"
