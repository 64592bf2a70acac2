from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from simformer import __main__ as command_line
from simformer.checkpoint import build_network, load_checkpoint, save_checkpoint
from simformer.cli.evaluate import novel_classes, parse_scales
from simformer.errors import CheckpointError, ConfigError, SimFormerError
from simformer.evaluation import ConfusionMatrix
from simformer.predictor import Predictor
from simformer.splits import dataset_classes


@pytest.fixture
def data(tmp_path):
    """Three photos with label maps; val.txt names two of them. Class 2 (cat) never shows."""
    root = tmp_path / "data"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("p0", "p1", "p2"):
        Image.fromarray(rng.integers(0, 256, (36, 48, 3), dtype=np.uint8)).save(root / "images" / f"{name}.png")
        labels = rng.integers(0, 2, (36, 48), dtype=np.uint8)
        labels[:6] = 255
        Image.fromarray(labels).save(root / "labels" / f"{name}.png")
    (root / "classes.txt").write_text("sky\ngrass\ncat\n")
    (root / "val.txt").write_text("p0\np2\n")
    (root / "train.txt").write_text("p1\n")
    return root


def evaluate(data, *arguments):
    words = ["evaluate", "--data", str(data), "--device", "cpu", *map(str, arguments)]
    return CliRunner().invoke(command_line.app, words)


def expected_scores(data, predictor, names):
    matrix = ConfusionMatrix(3)
    for name in names:
        with Image.open(data / "labels" / f"{name}.png") as truth:
            matrix.update(predictor.segment(data / "images" / f"{name}.png").labels, np.array(truth))
    return matrix.scores(novel=[2])


@pytest.mark.parametrize("weights", ["split1", "cam"])
def test_json(shipped, data, weights):
    result = evaluate(data, "--weights", weights)
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    scores = expected_scores(data, Predictor.load(weights, "cpu"), ["p0", "p2"])
    assert printed["miou"] == pytest.approx(scores.miou)
    assert printed["base"] == pytest.approx(scores.base)
    assert printed["novel"] is None
    assert printed["per_class"] == dict(zip(("sky", "grass", "cat"), scores.per_class, strict=True))
    assert printed["novel_classes"] == ["cat"]
    assert (printed["images"], printed["pixels"]) == (2, 2 * 30 * 48)
    assert printed["seconds_per_image"] > 0
    assert printed["inference"]["scales"] == [1.0] and printed["inference"]["flip"] is False
    assert ("present_threshold" in printed["inference"]) == (weights == "cam")


def test_another_list(shipped, data):
    printed = json.loads(evaluate(data, "--weights", "split1", "--list", "train.txt").stdout)
    scores = expected_scores(data, Predictor.load("split1", "cpu"), ["p1"])
    assert (printed["images"], printed["miou"]) == (1, pytest.approx(scores.miou))


def test_cam_options(shipped, data):
    options = ("--scales", "0.5,1", "--flip", "--present-threshold", 0.3)
    printed = json.loads(evaluate(data, "--weights", "cam", *options).stdout)
    assert printed["inference"] == {"scales": [0.5, 1.0], "flip": True, "present_threshold": 0.3, "exact": False}
    loaded = Predictor.load("cam", "cpu", scales=(0.5, 1), flip=True, present_threshold=0.3)
    assert printed["miou"] == pytest.approx(expected_scores(data, loaded, ["p0", "p2"]).miou)


@pytest.mark.parametrize("chosen", [("--weights", "split1"), ("--roles", "cat")])
def test_views_of_simformer(shipped, data, chosen):
    printed = json.loads(evaluate(data, *chosen, "--scales", "0.5,1", "--flip").stdout)
    assert printed["inference"] == {"scales": [0.5, 1.0], "flip": True, "exact": False}
    loaded = Predictor.load("split1", "cpu", scales=(0.5, 1), flip=True)
    assert printed["miou"] == pytest.approx(expected_scores(data, loaded, ["p0", "p2"]).miou)


def test_exact_inference(shipped, data):
    printed = json.loads(evaluate(data, "--weights", "split1", "--exact").stdout)
    assert printed["inference"]["exact"] is True
    loaded = Predictor.load("split1", "cpu", exact=True)
    assert printed["miou"] == pytest.approx(expected_scores(data, loaded, ["p0", "p2"]).miou)


@pytest.mark.parametrize("words, message", [
    (("--roles", "cat", "--exact"), "--exact is for --weights"),
    (("--roles", "cat", "--novel-of", "s1"), "--novel-of is for --weights"),
    (("--weights", "split1", "--without", "oracle"), "it goes with --roles"),
    (("--weights", "cam", "--exact"), "it does not have"),
    (("--weights", "split1", "--exact", "--flip"), "sees the photo once"),
])  # fmt: skip
def test_options_that_do_not_go_together(shipped, data, words, message):
    result = evaluate(data, *words)
    failure(result)
    assert message in str(result.exception)


def failure(result):
    assert result.exit_code == 1
    assert isinstance(result.exception, SimFormerError)
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_cam_options_are_refused_for_other_weights(shipped, data):
    assert "is for CAM weights" in failure(evaluate(data, "--weights", "split1", "--present-threshold", 0.5))
    assert "is for CAM weights" in failure(evaluate(data, "--roles", "cat", "--present-threshold", 0.5))
    assert "--scales takes numbers" in failure(evaluate(data, "--weights", "cam", "--scales", "big"))
    assert "scales" in failure(evaluate(data, "--weights", "cam", "--scales", "0"))


def test_first_difference_of_the_class_lists(shipped, data):
    (data / "classes.txt").write_text("sky\nmeadow\ndog\n")
    message = failure(evaluate(data, "--weights", "split1"))
    assert "class 1 is 'meadow' in the data but 'grass' in the weights" in message
    assert str(data) in message


def test_missing_data_and_weights(shipped, data):
    assert "nowhere" in failure(evaluate(data / "nowhere", "--weights", "split1"))
    assert "split9" in failure(evaluate(data, "--weights", "split9"))


def test_novel_of_another_split(make_card):
    classes = dataset_classes("msrc21")
    card = make_card(
        classes=classes,
        roles=("base",) * len(classes),
        dataset="msrc21",
        architecture={**make_card().architecture, "num_classes": len(classes)},
    )
    first, second = novel_classes(card, "s1"), novel_classes(card, "s2")
    assert first and second and not set(first) & set(second)  # splits 1 to 4 are disjoint
    with pytest.raises(ConfigError, match="s99"):
        novel_classes(card, "s99")
    with pytest.raises(CheckpointError, match="class 0"):
        novel_classes(card.model_copy(update={"classes": classes[::-1]}), "s1")
    with pytest.raises(ConfigError, match="custom"):
        novel_classes(make_card(), "s1")


def test_novel_of_reports_the_other_roles(tmp_path, data, make_card):
    classes = dataset_classes("msrc21")
    card = make_card(
        "cam",
        classes=classes,
        roles=("base",) * len(classes),
        dataset="msrc21",
        architecture={**make_card("cam").architecture, "num_classes": len(classes)},
    )
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "x.safetensors", build_network(card).state_dict(), card)
    (data / "classes.txt").write_text("\n".join(classes))
    plain = json.loads(evaluate(data, "--weights", tmp_path / "x.safetensors").stdout)
    other = json.loads(evaluate(data, "--weights", tmp_path / "x.safetensors", "--novel-of", "s1").stdout)
    assert (plain["novel_classes"], plain["novel"]) == ([], None)
    assert other["novel_classes"] == [classes[index] for index in novel_classes(card, "s1")]
    assert other["miou"] == plain["miou"] == plain["base"]


def test_scales():
    assert parse_scales(None) is None
    assert parse_scales("0.5, 1,2") == (0.5, 1.0, 2.0)


def test_roles_are_composed_from_the_shipped_models(shipped, data):
    printed = json.loads(evaluate(data, "--roles", "cat").stdout)
    alone = json.loads(evaluate(data, "--weights", "split1").stdout)
    # split1 had every class in these roles, so the composition is that model.
    assert printed["served_by"] == dict.fromkeys(("sky", "grass", "cat"), "split1")
    assert printed["per_class"] == alone["per_class"]
    assert printed["novel_classes"] == ["cat"]


def test_damaged_weights_are_named_and_the_others_serve(shipped, data, tmp_path, monkeypatch):
    for path in shipped.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "another.safetensors").write_bytes(b"no tensors")
    tensors, card = load_checkpoint(shipped / "split1.safetensors")
    del tensors["class_head.bias"]
    save_checkpoint(tmp_path / "broken.safetensors", tensors, card)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    result = evaluate(data, "--roles", "cat")
    assert set(json.loads(result.stdout)["served_by"].values()) == {"split1"}
    assert "another.safetensors" in result.stderr and "class_head.bias is missing" in result.stderr


def test_models_of_other_classes_are_not_composed(shipped, data, tmp_path, monkeypatch):
    tensors, card = load_checkpoint(shipped / "split1.safetensors")
    for folder, classes in (("msrc21", ("wall", "floor", "cat")), ("nyuv2", card.classes)):
        (tmp_path / folder).mkdir()
        changed = card.model_copy(update={"classes": classes})
        save_checkpoint(tmp_path / folder / "s1.safetensors", tensors, changed)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    printed = json.loads(evaluate(data, "--roles", "cat").stdout)
    assert set(printed["served_by"].values()) == {"nyuv2/s1"}
    assert "knows just these classes" in failure(evaluate(data, "--roles", "cat", "--without", "nyuv2/s1"))
    assert json.loads(evaluate(data, "--roles", "cat", "--without", "split1").stdout)["served_by"]["cat"] == "nyuv2/s1"


def test_a_simformer_of_other_classes_displaces_nothing(shipped, data, tmp_path, monkeypatch):
    tensors, card = load_checkpoint(shipped / "split1.safetensors")
    other = card.model_copy(update={"classes": ("wall", "floor", "cat")})
    ours = card.model_copy(update={"training": {"pairing": "none"}})  # Basic Model
    save_checkpoint(tmp_path / "other.safetensors", tensors, other)
    save_checkpoint(tmp_path / "ours.safetensors", tensors, ours)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    assert set(json.loads(evaluate(data, "--roles", "cat").stdout)["served_by"].values()) == {"ours"}


def test_an_unserved_class_has_no_pixel(shipped, data):
    printed = json.loads(evaluate(data, "--roles", "sky,cat").stdout)
    assert printed["served_by"] == {"sky": None, "grass": "split1", "cat": "split1"}
    assert printed["per_class"]["sky"] == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "either --weights or --roles"),
        (("--weights", "split1", "--roles", "s1"), "either --weights or --roles"),
        (("--roles", "cow"), "'cow'"),
        (("--roles", "cat", "--without", "split9"), "no model 'split9'"),
        (("--roles", "cat", "--without", "split1"), "no SimFormer model"),
    ],
)
def test_roles_that_cannot_be_composed(shipped, data, words, sentence):
    result = evaluate(data, *words)
    assert isinstance(result.exception, SimFormerError)
    assert sentence in str(result.exception)
