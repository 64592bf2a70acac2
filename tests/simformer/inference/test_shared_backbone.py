"""One backbone for networks that were trained on the same one."""

from __future__ import annotations

import pytest
import torch

from simformer.backbones import Backbone
from simformer.inference.shared_backbone import SharedBackbones, fingerprint
from simformer.predictor import Predictor


def backbone(seed: int) -> Backbone:
    torch.manual_seed(seed)
    return Backbone("test_efficientnet", pretrained=False).eval()


def count_runs(monkeypatch, shared) -> list[int]:
    runs = []
    plain = shared.backbone.forward
    monkeypatch.setattr(shared.backbone, "forward", lambda images: runs.append(1) or plain(images))
    return runs


def test_equal_weights_are_one_backbone_and_others_are_not():
    backbones = SharedBackbones()
    first = backbones.share(backbone(0))
    assert backbones.share(backbone(0)) is first
    assert backbones.share(backbone(1)) is not first
    assert SharedBackbones().share(backbone(0)) is not first


def test_one_changed_weight_is_another_backbone():
    ours, theirs = backbone(0), backbone(0)
    with torch.no_grad():
        next(theirs.parameters()).view(-1)[0] += 1e-3
    assert fingerprint(ours) != fingerprint(theirs)


def test_the_same_images_are_looked_at_once(monkeypatch):
    shared = SharedBackbones().share(backbone(0))
    images = torch.rand(1, 3, 64, 64)
    expected = backbone(0)(images)
    runs = count_runs(monkeypatch, shared)
    for _ in range(2):
        pyramid, last = shared(images.clone())
        torch.testing.assert_close(last, expected[1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(pyramid[0], expected[0][0], rtol=1e-4, atol=1e-5)
    assert len(runs) == 1


@pytest.mark.parametrize("change", ["one value", "another size"])
def test_other_images_are_looked_at(monkeypatch, change):
    shared = SharedBackbones().share(backbone(0))
    runs = count_runs(monkeypatch, shared)
    images = torch.rand(1, 3, 64, 64)
    before = shared(images)[1].clone()
    if change == "one value":
        images = images.clone()
        images[0, 0, 32, 32] += 1
        assert not torch.equal(shared(images)[1], before)
    else:
        assert shared(torch.rand(1, 3, 64, 96))[1].shape != before.shape
    assert len(runs) == 2


def test_two_predictors_of_one_backbone_agree_with_themselves_alone(tiny_models):
    photo = torch.randint(0, 256, (48, 64, 3), dtype=torch.uint8).numpy()
    backbones = SharedBackbones()
    first, second = (
        Predictor.load(tiny_models / "split1.safetensors", "cpu", backbones=backbones),
        Predictor.load(tiny_models / "split1.safetensors", "cpu", backbones=backbones),
    )
    alone = Predictor.load(tiny_models / "split1.safetensors", "cpu")
    assert first.network.backbone is second.network.backbone is not alone.network.backbone
    for predictor in (first, second):
        assert (predictor.segment(photo).labels == alone.segment(photo).labels).all()


def test_as_many_images_are_remembered_as_threads_may_look_at(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    shared = SharedBackbones().share(backbone(0))
    runs = count_runs(monkeypatch, shared)
    first, second, third = torch.rand(3, 1, 3, 64, 64)
    for images in (first, second, first, second):
        shared(images)
    assert len(runs) == 2
    for images in (third, second, first):
        shared(images)
    assert len(runs) == 4  # the first had to go for the third
