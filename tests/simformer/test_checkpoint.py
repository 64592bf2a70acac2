from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from simformer.checkpoint import build_network, check_classes, load_checkpoint, load_network, save_checkpoint
from simformer.errors import CheckpointError, ConfigError
from simformer.weights import Card, available_models, find_weights, weights_folder


@pytest.fixture
def tensors():
    return {"weight": torch.tensor([[1.5, -2.25]]), "steps": torch.tensor(7)}


@pytest.fixture
def written(tmp_path, make_card, tensors):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, tensors, make_card())
    return path


def write_raw(path, tensors, card_text):
    save_file(tensors, path, metadata=None if card_text is None else {"card": card_text})
    return path


def test_round_trip(written, make_card, tensors):
    state_dict, card = load_checkpoint(written)
    assert card == make_card()
    assert state_dict["weight"].dtype == torch.float32
    assert torch.equal(state_dict["weight"], tensors["weight"])  # these values are exact in half precision
    assert state_dict["steps"].dtype == torch.int64
    assert state_dict["steps"].item() == 7


def test_half_precision_on_disk_and_full_where_asked(tmp_path, make_card):
    value = {"weight": torch.tensor([0.1])}
    save_checkpoint(tmp_path / "half.safetensors", value, make_card())
    save_checkpoint(tmp_path / "full.safetensors", value, make_card(), dtype=torch.float32)
    half, full = (load_checkpoint(tmp_path / f"{name}.safetensors")[0]["weight"] for name in ("half", "full"))
    assert half.item() == torch.tensor(0.1).half().item() != full.item()
    assert full.item() == torch.tensor(0.1).item()


def test_tensors_that_share_memory_are_saved(tmp_path, make_card):
    weight = torch.arange(6.0)
    save_checkpoint(tmp_path / "x.safetensors", {"a": weight, "b": weight[2:], "c": weight.view(2, 3).t()}, make_card())
    state_dict, _ = load_checkpoint(tmp_path / "x.safetensors")
    assert state_dict["b"].tolist() == [2, 3, 4, 5]
    assert state_dict["c"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_values_that_half_precision_cannot_hold_are_refused_and_the_old_file_stays(written, make_card, value):
    before = written.read_bytes()
    with pytest.raises(CheckpointError, match="weight is not finite"):
        save_checkpoint(written, {"weight": torch.tensor([value])}, make_card())
    assert written.read_bytes() == before


def test_novel_indices(make_card):
    assert make_card().novel == (2,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("a", "a", "b")}, "named twice"),
        ({"roles": ("base",)}, "3 classes but 1 roles"),
        ({"std": (1.0, 0.0, 1.0)}, "std must be positive"),
        ({"roles": ("base", "base", "void")}, "roles"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_contradictory_cards(make_card, changes, message):
    with pytest.raises(ValueError, match=message):
        make_card(**changes)


def one_sentence(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path / "none.safetensors")
    assert one_sentence(error) == f"there is no weights file {tmp_path / 'none.safetensors'}"


@pytest.mark.parametrize("length", [0, 4, 40, -1])
def test_truncated_file(written, length):
    written.write_bytes(written.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="cannot be read as safetensors") as error:
        load_checkpoint(written)
    assert str(written) in one_sentence(error)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_under_another_name(tmp_path, zipped):
    path = tmp_path / "model.safetensors"
    torch.save({"weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"PyTorch pickle \(\.pth\) under another name"):
        load_checkpoint(path)


def test_no_card(tmp_path, tensors):
    path = write_raw(tmp_path / "x.safetensors", tensors, None)
    with pytest.raises(CheckpointError, match="has no card"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "unet"}, "kind: .*'simformer' or 'cam'"),
        ({"version": 2}, "version: "),
        ({"classes": []}, "classes: "),
        ({"image_size": -1}, "image_size: "),
    ],
)
def test_cards_of_another_kind_or_version(tmp_path, tensors, make_card, changes, message):
    content = {**json.loads(make_card().model_dump_json()), **changes}
    path = write_raw(tmp_path / "x.safetensors", tensors, json.dumps(content))
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(path)
    assert str(path) in one_sentence(error)


def test_card_that_is_not_json(tmp_path, tensors):
    path = write_raw(tmp_path / "x.safetensors", tensors, "{")
    with pytest.raises(CheckpointError, match=r"the card of .* cannot be used"):
        load_checkpoint(path)


@pytest.mark.parametrize("kind", ["simformer", "cam"])
def test_a_network_survives_the_file(tmp_path, make_card, kind):
    card = make_card(kind)
    network = build_network(card).eval()
    save_checkpoint(tmp_path / "x.safetensors", network.state_dict(), card, dtype=torch.float32)
    again, _ = load_network(tmp_path / "x.safetensors")
    assert not again.training
    images = 255 * torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        before, after = network(images), again(images)
    if kind == "simformer":
        before, after = before.mask_logits, after.mask_logits
    assert torch.equal(before, after)


def test_the_cards_normalization_is_used(make_card):
    torch.manual_seed(0)
    plain = build_network(make_card("cam", mean=(0, 0, 0), std=(1, 1, 1))).eval()
    torch.manual_seed(0)
    scaled = build_network(make_card("cam", mean=(10, 20, 30), std=(2, 4, 8))).eval()
    images = torch.rand(1, 3, 64, 64)
    shifted = images * torch.tensor([2.0, 4, 8]).view(3, 1, 1) + torch.tensor([10.0, 20, 30]).view(3, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(scaled(shifted), plain(images), atol=1e-4, rtol=1e-4)


def broken_state(network, how):
    state = dict(network.state_dict())
    name = "class_head.weight"
    if how == "missing":
        del state[name]
    elif how == "shape":
        state[name] = state[name][:-1]
    else:
        state["simnet.weight"] = torch.zeros(1)
    return state


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "the tensor class_head.weight is missing"),
        ("shape", r"class_head.weight is \(3, 32\) in the file but \(4, 32\) in the network"),
        ("unknown", "the network has no tensor simnet.weight"),
    ],
)
def test_the_first_wrong_tensor_is_named(tmp_path, make_card, how, message):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, broken_state(build_network(make_card()), how), make_card())
    with pytest.raises(CheckpointError, match=message) as error:
        load_network(path)
    assert str(path) in one_sentence(error)


@pytest.mark.parametrize("device", ["toaster", "cuda:99"])
def test_unusable_device(tiny_models, device):
    with pytest.raises(ConfigError, match=f"the device {device} cannot be used") as error:
        load_network(tiny_models / "cam.safetensors", device)
    one_sentence(error)


def test_architecture_that_contradicts_the_classes(make_card):
    card = make_card(architecture={**make_card().architecture, "num_classes": 5})
    with pytest.raises(CheckpointError, match="5 classes but its class list 3"):
        build_network(card)


def test_architecture_with_an_unknown_setting(make_card):
    card = make_card(architecture={**make_card().architecture, "depth": 5})
    with pytest.raises(CheckpointError, match="depth: "):
        build_network(card)


@pytest.mark.parametrize(
    ("data", "weights", "message"),
    [
        (("a", "b"), ("a", "c"), "class 1 is 'b' in the data but 'c' in the weights"),
        (("a", "b"), ("a",), "only the data has class 1, 'b'"),
        (("a",), ("a", "b"), "only the weights has class 1, 'b'"),
    ],
)
def test_first_difference_of_class_lists(data, weights, message):
    with pytest.raises(CheckpointError, match=message):
        check_classes(data, weights)


def test_equal_class_lists_pass():
    check_classes(["a", "b"], ("a", "b"))


def test_names_and_paths(shipped, tmp_path, monkeypatch):
    assert list(available_models()) == ["cam", "split1"]
    assert find_weights("cam") == shipped / "cam.safetensors"
    assert find_weights(shipped / "cam.safetensors") == shipped / "cam.safetensors"
    # A file of the working folder does not shadow a shipped model.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cam").write_text("notes")
    assert find_weights("cam") == shipped / "cam.safetensors"


def test_unknown_name_lists_what_there_is(shipped):
    with pytest.raises(CheckpointError, match=r"split9 is neither .* \(there: cam, split1\)"):
        find_weights("split9")


def test_weights_folder_beside_the_package(monkeypatch):
    monkeypatch.delenv("SIMFORMER_WEIGHTS", raising=False)
    assert weights_folder().parts[-2:] == ("assets", "weights")
    monkeypatch.setenv("SIMFORMER_WEIGHTS", "/nowhere")
    assert available_models() == {}
    with pytest.raises(CheckpointError, match="there: none"):
        find_weights("cam")


def test_cards_are_told_apart_by_every_field(make_card):
    assert Card.model_validate_json(make_card(note="x").model_dump_json()) != make_card()
