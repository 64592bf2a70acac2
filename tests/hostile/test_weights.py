"""Weights and checkpoints of strangers end in one sentence, and stop nothing else."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import save_file

from simformer.backbones import Backbone
from simformer.cam import CamConfig, CamNetwork
from simformer.checkpoint import load_checkpoint, load_network
from simformer.errors import CheckpointError, ConfigError
from simformer.interop.convert import read_released
from simformer.interop.restricted_pickle import read_pickle
from simformer.ui.parts.models import Models
from simformer.ui.segment.views import segment_photo
from simformer.weights import CARD_KEY, Card, available_models, readable_cards

NAME = "<img src=x onerror=alert(1)>"


def card(**changes) -> dict:
    """A card of two classes, as JSON has it."""
    made = Card(
        kind="cam",
        architecture=CamConfig(num_classes=2).model_dump(),
        classes=("cow", "grass"),
        roles=("base", "novel"),
        dataset="drawn",
        split="s1",
        image_size=64,
    )
    return {**made.model_dump(mode="json"), **changes}


def write(path, content, tensors=None):
    save_file(
        tensors or {"a": torch.zeros(1)}, path, {CARD_KEY: content if isinstance(content, str) else json.dumps(content)}
    )
    return path


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(tmp_path, value):
    path = write(tmp_path / "w.safetensors", card(), {"head.weight": torch.tensor([0.0, value])})
    with pytest.raises(CheckpointError, match=r"the tensor head\.weight has values that are not finite"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["hf-hub:someone/network", "hf_hub:someone/network", "local-dir:/etc"])
def test_a_card_cannot_reach_the_network(tmp_path, monkeypatch, name):
    architecture = {**card()["architecture"], "backbone": name}
    path = write(tmp_path / "w.safetensors", card(architecture=architecture))
    with pytest.raises(ConfigError, match=r"is an address; SIMFORMER_HUB_BACKBONES=1 lets it be fetched"):
        load_network(path)
    asked = []
    monkeypatch.setenv("SIMFORMER_HUB_BACKBONES", "1")
    monkeypatch.setattr("timm.create_model", lambda name, **_: asked.append(name) or 1 / 0)
    with pytest.raises(ConfigError, match="cannot be made"):
        Backbone(name, pretrained=False)
    assert asked == [name]


@pytest.mark.parametrize("setting, value", [
    ("width", 2**20), ("decoder_layers", 10**6), ("queries", 10**9), ("feed_forward", 2**30), ("num_classes", 10**6),
])  # fmt: skip
def test_a_cards_numbers_are_bounded(tmp_path, setting, value):
    path = write(tmp_path / "w.safetensors", card(kind="simformer", architecture={"num_classes": 2, setting: value}))
    with pytest.raises(CheckpointError, match=f"architecture cannot be used: {setting}"):
        load_network(path)
    with pytest.raises(ValidationError):
        Card.model_validate(card(inference={"scales": [1.0] * 1000}))


def test_what_lies_among_the_weights_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    write(tmp_path / "good.safetensors", card())
    write(tmp_path / "deep.safetensors", '{"training":' + '{"a":' * 100_000 + "1" + "}" * 100_001)
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "device.safetensors").symlink_to("/dev/zero")
    (tmp_path / "itself.safetensors").symlink_to(tmp_path / "itself.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    cards, problems = readable_cards(available_models())
    assert set(cards) == {"good"}
    assert set(problems) >= {"deep", "pipe", "device", "folder"}
    assert all("\n" not in sentence for sentence in problems.values())


def test_a_files_name_is_text(tmp_path, monkeypatch):
    network = CamNetwork(CamConfig(num_classes=2), pretrained=False)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    write(tmp_path / f"{NAME}.safetensors", card(), network.state_dict())
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    shown = "".join(
        str(part) for panels in segment_photo(Models(), str(tmp_path / "photo.png"), NAME, 0.0) for part in panels
    )
    assert "&lt;img src=x" in shown and NAME not in shown


def test_tensors_that_would_grow(tmp_path):
    torch.save({"model": {"a": torch.zeros(1).expand(10**6, 10**6)}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"has too few numbers for 'a' of shape \(1000000, 1000000\)"):
        read_released(tmp_path / "w.pth")
    for odd in (torch.zeros(3).to_sparse(), torch.empty(3, device="meta")):
        torch.save({"model": {"a": odd}}, tmp_path / "w.pth")
        with pytest.raises(CheckpointError):
            read_released(tmp_path / "w.pth")


def test_packed_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(CheckpointError, match=r"is a packed archive of 10,000,000 bytes"):
        read_released(tmp_path / "w.pth")


def test_pickles_that_refer_to_themselves(tmp_path):
    doubled: list = []
    for _ in range(40):
        doubled = [doubled, doubled]
    circle: list = []
    circle.append(circle)
    for value, sentence in ((doubled, "more than 100,000 values"), (circle, "is damaged or no pickle")):
        (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": value}))
        with pytest.raises(CheckpointError, match=sentence):
            read_pickle(tmp_path / "w.pkl")


def test_numbers_that_are_named_again_and_again(tmp_path):
    data = bytes(1_000_000)

    class Again:
        """An array made anew of the same bytes."""

        def __reduce__(self):
            return np.ndarray.__reduce_ex__(np.zeros(1), 5)[0], (data, np.dtype("u1"), (len(data),), "C")

    for count, fits in ((1, True), (3, False)):
        (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": {str(i): Again() for i in range(count)}}, protocol=4))
        if fits:
            assert read_pickle(tmp_path / "w.pkl")["model"]["0"].nbytes == len(data)
            continue
        with pytest.raises(CheckpointError, match="asks for more numbers than it holds, which weights do not need"):
            read_pickle(tmp_path / "w.pkl")
