"""What a training step computes; and that it never depends on where the novel pixels are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from simformer.checkpoint import build_network
from simformer.datasets import weakshot
from simformer.datasets.weakshot import WeakShotBatch
from simformer.errors import ConfigError
from simformer.splits import Split
from train.config import TrainConfig
from train.data import load_split_of, open_datasets, training_stream
from train.optimization import make_optimizer
from train.runtime.precision import cpu_matmul_precision
from train.tasks import ClassificationTask, SegmentationTask, make_card, make_task, method_name

SPLIT = Split("custom", "custom", ("a", "b", "c"), (1, 2))


def one_step(config: TrainConfig) -> tuple[WeakShotBatch, dict[str, torch.Tensor], list[torch.Tensor]]:
    """The first batch of a run, its losses and the gradients they give."""
    train_set, _ = open_datasets(config)
    split = load_split_of(config, train_set)
    torch.manual_seed(0)
    task = make_task(config, split).train()
    batch = training_stream(config, train_set, split, 0)[0]
    torch.manual_seed(1)
    losses = task(batch)
    sum(losses.values()).backward()
    return batch, losses, [p.grad for p in task.parameters() if p.grad is not None]


# --- novel pixels are never read --------------------------------------------------------------------------


@pytest.fixture
def shuffled(scenes, tmp_path):
    """The scenes with novel and void pixels of every label map permuted among themselves."""
    root = tmp_path / "shuffled"
    shutil.copytree(scenes, root)
    classes = (root / "classes.txt").read_text().split()
    novel = [classes.index(name) for name in ("sky", "disc", "star")]
    rng = np.random.default_rng(0)
    for path in (root / "labels").iterdir():
        labels = np.array(Image.open(path))
        hidden = np.isin(labels, [*novel, 255])
        labels[hidden] = rng.permutation(labels[hidden])
        Image.fromarray(labels).save(path)
    return root


@pytest.mark.parametrize("options", [
    {"pairing": "cross"},
    {"pairing": "self", "loss_resolution": "prediction", "distillation": "ce"},
    {"pairing": "none"},
])  # fmt: skip
def test_shuffling_novel_and_void_pixels_changes_no_loss(settings, shuffled, options):
    config = settings(batch=4, **options)
    batch, losses, gradients = one_step(config)
    other_batch, other_losses, other_gradients = one_step(config.model_copy(update={"data": shuffled}))
    assert torch.equal(batch.images, other_batch.images)
    assert torch.equal(batch.base_labels, other_batch.base_labels)
    names = {"classification", "focal", "dice", "complementary"}
    assert set(losses) == names | ({"similarity", "distillation"} if config.pairing != "none" else set())
    assert all(torch.equal(losses[name], other_losses[name]) for name in losses)
    assert len(gradients) > 10 and all(map(torch.equal, gradients, other_gradients))


def test_that_test_can_fail(settings, shuffled):
    """The released code's label rule reads them: a crop has the labels that its pixels show."""
    config = settings(label_rule="crop", crop=32, scale=(2.0, 2.0), batch=8)
    losses, others = one_step(config)[1], one_step(config.model_copy(update={"data": shuffled}))[1]
    assert any(not torch.equal(losses[name], others[name]) for name in losses)


def test_base_pixels_do_matter(settings, scenes, tmp_path):
    root = tmp_path / "changed"
    shutil.copytree(scenes, root)
    for path in (root / "labels").iterdir():
        Image.fromarray(np.array(Image.open(path))[::-1]).save(path)
    losses, others = one_step(settings())[1], one_step(settings(data=root))[1]
    assert not torch.equal(losses["dice"], others["dice"])


# --- tasks ------------------------------------------------------------------------------------------------


def test_losses_go_down(settings):
    """Two flat colors, one of them novel: forty steps are enough to see it learn."""
    config = settings(learning_rate=2e-3, frozen_backbone=False, backbone_factor=1, complementary_weight=1, points=20)
    task = make_task(config, Split("custom", "custom", ("left", "right"), (1,)))
    optimizer = make_optimizer(task, config)
    images = torch.zeros(2, 3, 32, 32)
    images[:, 0, :, :16], images[:, 2, :, 16:] = 255, 255
    labels = torch.full((2, 32, 32), 255)
    labels[:, :, :16] = 0
    ones = [torch.tensor([0])] * 2, [torch.tensor([1])] * 2
    batch = WeakShotBatch(images, labels, torch.zeros(2, 32, 32, dtype=torch.bool), *ones, pairs=1)
    torch.manual_seed(0)
    history = []
    for _ in range(40):
        losses = task(batch)
        sum(losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
    for name in ("classification", "focal", "dice", "complementary"):
        assert np.mean([h[name] for h in history[-5:]]) < 0.7 * np.mean([h[name] for h in history[:5]]), name
    # No mask ever showed the novel class, yet its half is found.
    task.eval()
    with torch.no_grad():
        found = task.network.score_maps(images[:1])[0].argmax(0)
    assert (found[:, :3] == 0).all() and (found[:, -3:] == 1).all()


def test_multilabel_targets(settings):
    config = settings(method="cam", model={"backbone": "test_efficientnet"})
    task = ClassificationTask(config, SPLIT)
    task.network.classifier.weight.data.zero_()
    task.network.forward = lambda images: torch.tensor([[0.0, 9.0, 9.0], [9.0, 0.0, -9.0]])
    novel = [torch.tensor([1, 2]), torch.tensor([0])]
    nothing = torch.zeros(2, 8, 8, dtype=torch.int64)
    batch = WeakShotBatch(torch.zeros(2, 3, 8, 8), nothing, nothing.bool(), [], novel, 0)
    right = np.log1p(np.exp(-9))
    assert float(task(batch)["classification"]) == pytest.approx((2 * np.log(2) + 4 * right) / 6, rel=1e-5)


def test_simnet_is_there_only_where_pairs_are(settings):
    assert SegmentationTask(settings(), SPLIT).similarity is not None
    assert SegmentationTask(settings(pairing="none"), SPLIT).similarity is None
    all_base = Split("custom", "all_base", SPLIT.classes, ())
    oracle = SegmentationTask(settings(), all_base)
    assert oracle.similarity is None and oracle.criterion.complementary_weight == 0


@pytest.mark.parametrize("changes, expected", [
    ({}, ("running", "across", False, 25, (0.5, 2.0), 0, None)),
    ({"simnet_statistics": "batch", "student_pairs": "within", "distill_padding": True, "batch": 8, "scale": (0.5, 1.5),
      "scale_step": 0.1, "long_side": 99, "candidate_caps": (500, 50)},
     ("batch", "within", True, 7, (0.5, 1.5), 0.1, 99)),
])  # fmt: skip
def test_settings_reach_what_they_are_about(settings, monkeypatch, changes, expected):
    config = settings(**changes)
    caps = []
    chooser = weakshot.ReferenceChooser
    monkeypatch.setattr(weakshot, "ReferenceChooser", lambda *given: (caps.append(given[4]), chooser(*given))[1])
    train_set, _ = open_datasets(config)
    split = load_split_of(config, train_set)
    similarity = make_task(config, split).similarity
    transform = training_stream(config, train_set, split, 0).transform
    found = similarity.statistics, similarity.student, similarity.padding, similarity.recent
    assert (*found, transform.scale, transform.scale_step, transform.long_side) == expected
    assert caps == [config.candidate_caps]


def test_a_frozen_backbone_has_no_gradients(settings):
    task = make_task(settings(frozen_backbone=True), SPLIT)
    assert not any(p.requires_grad for p in task.network.backbone.parameters())
    assert all(p.requires_grad for p in task.network.transformer.parameters())


def test_rounded_products_leave_predictions_and_matches_exact(settings):
    """On processors that round them; elsewhere both are exact. Rounded is SimNet, nothing else of the forward pass."""
    labels = torch.randint(2, (2, 32, 32)) * 255
    classes = [torch.tensor([0])] * 2, [torch.tensor([1])] * 2
    batch = WeakShotBatch(torch.rand(2, 3, 32, 32) * 255, labels, torch.zeros_like(labels).bool(), *classes, pairs=1)
    task = SegmentationTask(settings(), SPLIT).train()
    losses = {}
    for precision in ("no", "bf16"):
        torch.manual_seed(0)
        with cpu_matmul_precision(precision):
            losses[precision] = {name: float(loss.detach()) for name, loss in task(batch).items()}
    for name in ("classification", "focal", "dice", "complementary"):
        assert losses["no"][name] == losses["bf16"][name]
    assert losses["no"]["similarity"] == pytest.approx(losses["bf16"]["similarity"], rel=0.05)


def test_rounded_products_leave_the_classifier_exact(settings):
    """As above, and nothing of CAM's forward pass is rounded."""
    labels = torch.full((2, 32, 32), 255)
    novel = [torch.tensor([0]), torch.tensor([1, 2])]
    batch = WeakShotBatch(torch.rand(2, 3, 32, 32) * 255, labels, torch.zeros_like(labels).bool(), [], novel, pairs=0)
    task = ClassificationTask(settings(method="cam", model={"backbone": "test_efficientnet"}), SPLIT).eval()
    losses = []
    for precision in ("no", "bf16"):
        with cpu_matmul_precision(precision):
            losses.append(float(task(batch)["classification"].detach()))
    assert losses[0] == losses[1]


def test_losses_at_the_predictions_resolution(settings):
    """Label maps that are constant over every 4 x 4 pixels lose nothing when they shrink; the losses differ little."""
    torch.manual_seed(0)
    labels = torch.tensor([0, 255])[torch.randint(2, (2, 8, 8))].repeat_interleave(4, 1).repeat_interleave(4, 2)
    classes = [torch.tensor([0])] * 2, [torch.tensor([1])] * 2
    batch = WeakShotBatch(torch.rand(2, 3, 32, 32) * 255, labels, torch.zeros_like(labels).bool(), *classes, pairs=1)
    losses = {}
    for resolution in ("image", "prediction", "prediction_centers"):
        torch.manual_seed(0)
        task = SegmentationTask(settings(loss_resolution=resolution), SPLIT).eval()
        torch.manual_seed(1)
        losses[resolution] = {name: float(loss.detach()) for name, loss in task(batch).items()}
    assert losses["image"]["classification"] == losses["prediction"]["classification"]
    assert losses["image"]["similarity"] == losses["prediction"]["similarity"]
    assert losses["image"]["focal"] == pytest.approx(losses["prediction"]["focal"], rel=0.2)
    assert losses["image"]["dice"] != losses["prediction"]["dice"]
    assert losses["prediction_centers"] == losses["prediction"]  # constant over every cell: its place is all one


@pytest.mark.parametrize("model, words", [
    ({"widht": 64}, "model: widht"),
    ({"width": 33}, "model: width"),
    ({"width": 96, "heads": 5}, "multiple of heads"),
    ({"num_classes": 4}, "num_classes is not a setting"),
])  # fmt: skip
def test_wrong_sizes(settings, model, words):
    with pytest.raises(ConfigError, match=words):
        make_task(settings(model=model), SPLIT)


@pytest.mark.parametrize("changes, split, name", [
    ({}, SPLIT, "SimFormer"),
    ({"pairing": "self"}, SPLIT, "Self-Pair"),
    ({"pairing": "none"}, SPLIT, "Basic Model"),
    ({}, Split("custom", "all_base", ("a",), ()), "FullyOracle"),
    ({"method": "cam"}, SPLIT, "CAM"),
    ({"pairing": "none", "pseudo": "partial_labels"}, SPLIT, "WSSS (partial labels)"),
    ({"distill_from": "partial_labels"}, SPLIT, "SimFormer (partial labels)"),
    ({"distill_from": "partial_labels", "pseudo": "partial_labels"}, SPLIT, "SimFormer+"),
])  # fmt: skip
def test_method_names(settings, changes, split, name):
    assert method_name(settings(**changes), split) == name


@pytest.mark.parametrize("method", ["simformer", "cam"])
def test_the_card_rebuilds_the_network(settings, method):
    config = settings(method=method, **({"model": {"backbone": "test_efficientnet"}} if method == "cam" else {}))
    config = config.model_copy(update={"init": Path("/home/me/runs/a/weights.safetensors")})
    task = make_task(config, SPLIT)
    card = make_card(task, config, SPLIT, step=7, metrics={"miou": 1.0})
    assert (card.kind, card.step, card.image_size, card.roles) == (method, 7, 64, ("base", "novel", "novel"))
    assert not {"data", "out"} & card.training.keys() and card.training["init"] == "a/weights.safetensors"
    network = build_network(card)
    network.load_state_dict(task.network.state_dict())
    assert torch.allclose(network.mean, task.network.mean) and torch.allclose(network.std, task.network.std)
