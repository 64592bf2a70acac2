"""The weights folder: a folder a data set, short names, and one backbone for many networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from simformer.checkpoint import build_network, load_checkpoint, save_checkpoint, save_head
from simformer.errors import CheckpointError
from simformer.predictor import Predictor
from simformer.weights import available_models, find_backbone, find_weights, models_of, read_card, shown_dataset

PHOTO = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty weights folder."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def add(root, make_card):
    """add("msrc21/s1", **changes of the card) writes a model."""

    def write(name: str, kind: str = "simformer", **changes):
        path = root / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_checkpoint(path, {}, make_card(kind, **changes))
        return path

    return write


def only_file(root):
    [file] = root.glob("backbone-*")
    return file


@pytest.fixture
def heads(root, make_card):
    """Two networks with one backbone, as whole files in whole/ and as heads in msrc21/."""
    torch.manual_seed(0)
    cards = {"s1": make_card(), "cam": make_card("cam")}
    networks = {name: build_network(card) for name, card in cards.items()}
    networks["cam"].backbone.load_state_dict(networks["s1"].backbone.state_dict())
    for folder in ("whole", "msrc21"):
        (root / folder).mkdir()
    for name, card in cards.items():
        save_checkpoint(root / "whole" / f"{name}.safetensors", networks[name].state_dict(), card)
        save_head(root / "msrc21" / f"{name}.safetensors", networks[name].state_dict(), card, root)
    return root


@pytest.mark.parametrize("name", ["s1", "cam"])
def test_a_head_and_its_backbone_are_the_whole_file_to_the_last_bit(heads, name):
    whole, head = (Predictor.load(f"{folder}/{name}", "cpu").segment(PHOTO) for folder in ("whole", "msrc21"))
    np.testing.assert_array_equal(head.score_maps, whole.score_maps)
    np.testing.assert_array_equal(head.labels, whole.labels)
    tensors, _ = load_checkpoint(heads / "whole" / f"{name}.safetensors")
    joined, _ = load_checkpoint(heads / "msrc21" / f"{name}.safetensors")
    assert tensors.keys() == joined.keys() and all(torch.equal(tensors[key], joined[key]) for key in tensors)


def test_the_backbone_lies_there_once_and_is_no_model(heads):
    backbone = only_file(heads)
    assert list(available_models()) == ["msrc21/cam", "msrc21/s1", "whole/cam", "whole/s1"]
    card = read_card(heads / "msrc21" / "s1.safetensors")
    assert card.backbone == read_card(heads / "msrc21" / "cam.safetensors").backbone
    assert find_backbone(heads / "msrc21" / "s1.safetensors", card.backbone) == backbone
    sizes = {path.parent.name: path.stat().st_size for path in heads.glob("*/s1.safetensors")}
    assert sizes["msrc21"] < sizes["whole"] - 0.9 * backbone.stat().st_size


def test_a_missing_backbone_is_one_sentence(heads):
    name = only_file(heads).name
    only_file(heads).unlink()
    with pytest.raises(CheckpointError, match=rf"^[^\n]*s1\.safetensors needs the backbone {name}, which is neither"):
        Predictor.load("s1", "cpu")


def test_a_wrong_backbone_is_one_sentence_and_is_mended_by_writing_a_head(heads, make_card):
    file, whole = only_file(heads), load_checkpoint(heads / "whole" / "s1.safetensors")[0]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"^[^\n]* does not hold the backbone that its name promises"):
        Predictor.load("s1", "cpu")
    save_head(heads / "msrc21" / "s1.safetensors", whole, make_card(), heads)
    Predictor.load("s1", "cpu")


@pytest.mark.parametrize("place", ["msrc21", ""])
def test_where_a_backbone_is_found(heads, tmp_path, monkeypatch, place):
    only_file(heads).rename(heads / place / only_file(heads).name)
    Predictor.load("s1", "cpu")
    # Elsewhere: a copy finds it beside itself, one folder above, and in the weights folder.
    copy = tmp_path / "mine" / "s1.safetensors"
    copy.parent.mkdir()
    copy.write_bytes((heads / "msrc21" / "s1.safetensors").read_bytes())
    if place:
        with pytest.raises(CheckpointError, match="needs the backbone"):
            load_checkpoint(copy)
        [backbone] = heads.glob("msrc21/backbone-*")
        (tmp_path / backbone.name).write_bytes(backbone.read_bytes())
    load_checkpoint(copy)


def test_a_network_without_backbone_has_no_head(root, make_card):
    with pytest.raises(CheckpointError, match="has no backbone"):
        save_head(root / "x.safetensors", {"x": torch.ones(1)}, make_card(), root)
    assert list(root.iterdir()) == []


def test_names(add, root):
    for name in ("msrc21/s10", "msrc21/s2", "msrc21/retab_s1", "msrc21/cam", "nyuv2/cam", "nyuv2/s1_plus", "own"):
        add(name)
    (root / ".cache").mkdir()
    (root / ".cache" / "x.safetensors").touch()
    assert list(available_models()) == [
        "own", "msrc21/cam", "msrc21/s2", "msrc21/s10", "msrc21/retab_s1", "nyuv2/cam", "nyuv2/s1_plus",
    ]  # fmt: skip
    assert list(models_of("nyuv2")) == ["cam", "s1_plus"] and list(models_of("")) == ["own"]
    assert find_weights("cam") == find_weights("msrc21/cam") == root / "msrc21" / "cam.safetensors"
    assert find_weights("split10") == find_weights("s10") == root / "msrc21" / "s10.safetensors"
    assert find_weights("nyuv2/cam") == root / "nyuv2" / "cam.safetensors" and find_weights("own").parent == root
    with pytest.raises(CheckpointError, match="there: own, msrc21/cam"):
        find_weights("s1_plus")
    add("cam")
    assert find_weights("cam") == root / "cam.safetensors"


def test_a_page_shows_one_data_set(add):
    assert shown_dataset() == ""
    kitchen = ("wall", "floor", "oven")
    add("kitchens/s1", classes=kitchen)
    add("nyuv2/cam")
    assert shown_dataset() == "kitchens"
    add("msrc21/cam")
    assert shown_dataset() == "msrc21"
    assert shown_dataset(kitchen) == "kitchens" and shown_dataset(("none", "of", "these")) == "msrc21"
    add("mine")
    assert shown_dataset() == "" and shown_dataset(kitchen) == "kitchens"
