"""Released checkpoints: converted whole, or refused in one sentence that names what is wrong."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from PIL import Image
from released_checkpoints import CONFIG, released_network, released_state
from typer.testing import CliRunner

from simformer.__main__ import app
from simformer.bench.plain import plain_score_maps
from simformer.errors import CheckpointError
from simformer.interop.convert import convert, read_released, released_config, sort_released
from simformer.interop.restricted_pickle import read_pickle
from simformer.model import ModelConfig
from simformer.predictor import Predictor
from simformer.splits import load_split
from simformer.weights import read_card

MSRC = load_split("msrc21", "s1")
LAST = "sem_seg_head.predictor.class_embed.weight"


@pytest.fixture(scope="module")
def network():
    return released_network()


@pytest.fixture(scope="module")
def state(network):
    return released_state(network)


@pytest.fixture(scope="module")
def pth(state, tmp_path_factory):
    """As Detectron2 saves it, with what only training needs."""
    path = tmp_path_factory.mktemp("released") / "model_final.pth"
    torch.save({"model": state, "optimizer": {"state": {}}, "iteration": 59_999}, path)
    return path


@pytest.fixture(scope="module")
def converted(pth, tmp_path_factory):
    """The command's weights file and what it said."""
    path = tmp_path_factory.mktemp("converted") / "released.safetensors"
    words = ["convert", str(pth), "--out", str(path), "--dataset", "msrc21", "--split", "s1", "--image-size", "64"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return path, result.stdout


def test_the_converted_network_computes_the_same(network, converted):
    path, _ = converted
    predictor = Predictor.load(path, "cpu")
    assert predictor.card.roles == MSRC.roles and predictor.card.split == "s1"
    assert predictor.card.image_size == 64 and predictor.card.note == "converted from model_final.pth"
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = network.score_maps(torch.from_numpy(photo).permute(2, 0, 1)[None].float())[0].numpy()
    found = predictor.segment(photo).score_maps
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


def labels_of(weights, folder, photo, *options):
    """What the segment command writes for a photo."""
    Image.fromarray(photo).save(folder / "photo.png")
    words = ["segment", str(folder / "photo.png"), "--weights", str(weights), "--out", str(folder / "masks"), "--again"]
    result = CliRunner().invoke(app, [*words, "--device", "cpu", *options])
    assert result.exit_code == 0, result.output
    with Image.open(folder / "masks" / "photo.png") as image:
        return np.array(image)


def test_converted_weights_are_read_exactly_unless_told_otherwise(network, converted, tmp_path):
    path, _ = converted
    assert read_card(path).inference.exact
    photo = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    with torch.inference_mode():
        output = network(torch.from_numpy(photo).permute(2, 0, 1)[None].float())
    expected = plain_score_maps(output.class_logits, output.mask_logits, (64, 96), (64, 96))[0].argmax(0).numpy()
    assert (labels_of(path, tmp_path, photo) == expected).mean() >= 0.999
    fast = Predictor.load(path, "cpu", exact=False).segment(photo).labels
    assert (labels_of(path, tmp_path, photo, "--no-exact") == fast).all()


def test_the_command_lists_what_it_leaves_out(converted):
    _, words = converted
    assert "resnet50 network with 5 queries for 21 classes" in words
    assert "46 tensors of SimNet" in words
    assert "criterion.ingore_th, criterion.empty_weight" in words


def test_the_result_is_evaluated(converted, tmp_path):
    for folder, content in (("images", np.zeros((32, 40, 3), np.uint8)), ("labels", np.ones((32, 40), np.uint8))):
        (tmp_path / folder).mkdir()
        Image.fromarray(content).save(tmp_path / folder / "a.png")
    (tmp_path / "classes.txt").write_text("\n".join(MSRC.classes))
    (tmp_path / "val.txt").write_text("a")
    words = ["evaluate", "--data", str(tmp_path), "--weights", str(converted[0]), "--device", "cpu"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["images"] == 1


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_of_numpy_arrays_holds_the_same(state, tmp_path, protocol):
    small = {name: tensor.numpy() for name, tensor in state.items() if name.startswith("sem_seg_head")}
    turned = "sem_seg_head.predictor.query_embed.weight"
    small[turned] = np.asfortranarray(small[turned])
    zoo = {"model": OrderedDict(small), "__author__": "someone", "matching_heuristics": True}
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps(zoo, protocol))
    tensors = read_released(path)
    assert tensors.keys() == small.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, state[name])


@pytest.mark.slow
def test_a_network_on_resnet_101(tmp_path):
    network = released_network(CONFIG.model_copy(update={"backbone": "resnet101.tv_in1k"}))
    torch.save({"model": released_state(network)}, tmp_path / "model_final.pth")
    convert(tmp_path / "model_final.pth", tmp_path / "w.safetensors", split=MSRC, image_size=64)
    predictor = Predictor.load(tmp_path / "w.safetensors", "cpu")
    assert predictor.card.architecture["backbone"] == "resnet101.tv_in1k"
    photo = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)).mul(255).byte()
    with torch.inference_mode():
        expected = network.score_maps(photo[None].float())[0].numpy()
    found = predictor.segment(photo.permute(1, 2, 0).numpy()).score_maps
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


def test_names_before_the_pixel_decoder_had_its_own(state):
    old = {name.replace("sem_seg_head.pixel_decoder.", "sem_seg_head."): tensor for name, tensor in state.items()}
    assert sort_released(old).network.keys() == sort_released(state).network.keys()


def test_sizes_are_read_from_the_tensors(state):
    config = released_config(sort_released(state).network)
    assert (config.width, config.queries, config.decoder_layers, config.feed_forward) == (32, 5, 2, 48)
    assert (config.num_classes, config.backbone, config.heads) == (21, "resnet50", 8)
    paper = {**config.model_dump(), "width": 256, "queries": 100, "decoder_layers": 6, "feed_forward": 2048}
    assert ModelConfig(**paper) == ModelConfig.paper(21)


def test_normalization_of_the_checkpoint(state):
    given = {**state, "pixel_mean": torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1), "pixel_std": torch.ones(3, 1, 1)}
    assert sort_released(given).normalization == {"mean": (1.0, 2.0, 3.0), "std": (1.0, 1.0, 1.0)}


# --- refused ----------------------------------------------------------------------------------------------


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize("change, words", [
    (lambda s: without(s, LAST), "no tensor for class_head.weight"),
    (lambda s: without(s, "backbone.res3.1.conv2.weight"), r"no tensor for backbone.net.layer2.1.conv2.weight"),
    (lambda s: s | {"sem_seg_head.extra.weight": torch.ones(1)}, "no place for the tensor sem_seg_head.extra.weight"),
    (lambda s: s | {"criterion.other": torch.ones(1)}, "no place for the tensor criterion.other"),
    (
        lambda s: s | {"backbone.res2.0.conv9.weight": torch.ones(1)},
        "no place for the tensor backbone.res2.0.conv9.weight",
    ),
    (
        lambda s: s | {"backbone.res5.1.conv1.weight": torch.ones(2, 3)},
        r"backbone.res5.1.conv1.weight is of shape \(2, 3\), not \(512, 2048, 1, 1\)",
    ),
    (lambda s: s | {LAST: torch.ones(21, 32)}, "it has 20 classes, but msrc21 21"),
    (lambda s: s | {LAST: torch.ones(22)}, r"class_head.weight is of shape \(22,\), not a matrix"),
    (lambda s: s | {LAST: torch.full((22, 32), torch.nan)}, "class_embed.weight does not hold finite numbers"),
    (lambda s: s | {"backbone.res2.3.conv1.weight": torch.ones(1)}, r"\(4, 4, 6, 3\) blocks"),
    (
        lambda s: s | {"sem_seg_head.mask_features.bias": torch.ones(32)},
        "sem_seg_head.mask_features.bias would both become pixel_decoder.embedding.bias",
    ),
])  # fmt: skip
def test_tensors_that_do_not_fit(state, tmp_path, monkeypatch, change, words):
    monkeypatch.setattr("simformer.interop.convert.read_released", lambda path: change(state))
    with pytest.raises(CheckpointError, match=words) as caught:
        convert("x.pth", tmp_path / "out.safetensors", MSRC, 64)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("x.pth cannot be converted: ")
    assert not list(tmp_path.iterdir())


class Malicious:
    """Unpickled by anyone who trusts it, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", ["pkl", "pth"])
def test_code_in_a_checkpoint_is_not_run(tmp_path, suffix):
    path, made = tmp_path / f"evil.{suffix}", tmp_path / "made"
    if suffix == "pkl":
        path.write_bytes(pickle.dumps({"model": {"a": Malicious(made)}}))
    else:
        torch.save({"model": {"a": Malicious(made)}}, path)
    with pytest.raises(CheckpointError, match=r"evil\.\w+ is not read: it asks for \w+\.open") as caught:
        read_released(path)
    assert "\n" not in str(caught.value) and not made.exists()


@pytest.mark.parametrize("value, words", [
    (np.array(["text"]), "arrays of type 'U4'"),
    (np.array([{}]), "arrays of type 'O8'"),
    (np.zeros(1, [("a", "f4")]), "arrays of type 'V4'"),
    (np.ma.zeros(1), "numpy.ma"),
    (bytearray(b"x"), "bytearray"),
])  # fmt: skip
def test_a_pickle_of_other_things(tmp_path, value, words):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"model": {"a": value}}, 2))
    with pytest.raises(CheckpointError, match=words):
        read_released(path)


@pytest.mark.parametrize("name, content, words", [
    ("x.pkl", pickle.dumps({"model": {"a": np.zeros(100)}})[:-50], "is damaged"),
    ("x.pkl", b"", "is damaged"),
    ("x.pth", b"PK\x03\x04 no archive", "is damaged"),
    ("x.pth", b"words", "is damaged"),
    ("x.pkl", pickle.dumps([1, 2]), "holds no weights by name"),
    ("x.pkl", pickle.dumps({"model": {}}), "holds no weights by name"),
    ("x.pkl", pickle.dumps({"model": {"a": 3}}), "holds 'a', which is a int"),
])  # fmt: skip
def test_damaged_files(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_released(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_released(tmp_path / "missing.pth")


def test_half_a_download(pth, tmp_path):
    half = tmp_path / "half.pth"
    half.write_bytes(pth.read_bytes()[:1_000_000])
    with pytest.raises(CheckpointError, match=r"half\.pth is damaged"):
        read_released(half)


def test_the_command_says_what_is_missing(pth, tmp_path):
    words = ["convert", str(pth), "--out", str(tmp_path / "x.safetensors"), "--dataset"]
    result = CliRunner().invoke(app, [*words, "msrc21"])
    assert "--image-size" in str(result.exception)
    result = CliRunner().invoke(app, [*words, "ade20k", "--split", "all_base"])
    assert "it has 21 classes, but ade20k 150" in str(result.exception)


@pytest.mark.parametrize("body", [
    b"c_codecs\nencode\n",  # a function by itself
    b"c_codecs\nencode\n}X\x09\x00\x00\x00_functionI1\nsb0I1\n",  # a function whose state is changed
])  # fmt: skip
def test_a_pickle_cannot_keep_or_change_a_function(tmp_path, body):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x02}X\x05\x00\x00\x00model" + body + b"s.")
    with pytest.raises(CheckpointError, match="function"):
        read_released(path)
    plain = tmp_path / "plain.pkl"
    plain.write_bytes(pickle.dumps({"model": {"a": np.arange(3.0)}}, 2))
    assert read_pickle(plain)["model"]["a"].tolist() == [0, 1, 2]
