"""RIB: pooling worked out by hand, when fine-tuning on a photo stops, and that the classifier stays as it is."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from tiny import NOVEL
from torch import nn

from simformer.backbones import Backbone
from simformer.cam import CamConfig, CamNetwork
from simformer.datasets.folder import FolderDataset
from simformer.errors import CheckpointError, ConfigError
from simformer.splits import custom_split
from train.pseudo.rib import (
    Other,
    RibMaps,
    RibSettings,
    Tail,
    View,
    active_area,
    collect,
    divided,
    merged_views,
    pool_non_discriminative,
)

FAST = RibSettings(iterations=3, learning_rate=1e-4, others=2)


@pytest.fixture(scope="module")
def dataset(scenes) -> FolderDataset:
    return FolderDataset(scenes)


@pytest.fixture(scope="module")
def classifier(dataset) -> CamNetwork:
    torch.manual_seed(0)
    config = CamConfig(num_classes=len(dataset.classes), backbone="test_efficientnet")
    network = CamNetwork(config, pretrained=False).eval()
    nn.init.normal_(network.classifier.weight)
    return network


def rib_maps(classifier, dataset, **changes) -> RibMaps:
    split = custom_split(dataset.classes, NOVEL)
    return RibMaps(classifier, dataset, split, **{"image_size": 64, "settings": FAST, **changes})


def tail(weights: list[list[float]]) -> Tail:
    """Without a body: class evidence is these weights times the features."""
    linear = nn.Conv2d(len(weights[0]), len(weights), 1, bias=False)
    linear.weight.data = torch.tensor(weights)[:, :, None, None]
    return Tail([], linear)


def row(*values: float) -> torch.Tensor:
    """Features of one channel, 1 x 1 x 1 x w."""
    return torch.tensor(values)[None, None, None]


def test_pooling_by_hand():
    evidence = torch.tensor([[[[1.0, 2.0], [3.0, 10.0]], [[-1.0, -2.0], [-3.0, -2.0]]]], requires_grad=True)
    pooled = pool_non_discriminative(evidence, 0.4)
    # 10 is left out, being above 0.4 x 10, yet it counts among the pixels; nothing stands out of negative evidence.
    assert pooled.tolist() == [[6 / 4, -2.0]]
    pooled.sum().backward()
    assert evidence.grad[0, 0].tolist() == [[0.25, 0.25], [0.25, 0.0]]


def test_mirror_image_is_turned_back():
    evidence = torch.tensor([[[[1.0, -5.0]]], [[[2.0, 4.0]]]])
    assert merged_views(evidence, (1, 2)).tolist() == [[[1.0 + 4.0, 2.0]]]
    assert merged_views(evidence[:1], (1, 2)).tolist() == [[[1.0, 0.0]]]


def test_active_area_by_hand():
    maps = torch.tensor([[[1.0, 1.0, 0.2, 0.0]], [[0.0, 4.0, 1.0, 2.0]], [[0.0, 0.0, 0.0, 0.0]]])
    assert active_area(maps, 0.3).tolist() == [0.5, 0.5, 0.0]


def test_evidence_grows_and_maps_are_taken_before_each_update():
    features = row(1.0, 1.0, 0.0, 0.0, 0.0, 10.0)
    views, settings = [View(1.0, features)], RibSettings(iterations=4, learning_rate=0.01, weight_decay=0)
    network = tail([[1.0]])
    result = collect(network, views, lambda: [], [0], (1, 6), settings)
    assert len(result.pooled) == 4 and result.pooled == sorted(set(result.pooled))
    # d pooled / d weight is 2/6, the classifier's rate 10 x 0.01 under the poly schedule; the last update is left out.
    weights = [1.0]
    for step in range(3):
        weights.append(weights[-1] + 0.1 * (1 - step / 4) ** 0.9 * 2 / 6)
    assert network.classifier.weight.item() == pytest.approx(weights[-1])
    assert torch.allclose(result.maps, sum(weights) * features[0], rtol=1e-5)


def test_other_photos_raise_their_own_classes_only():
    network = tail([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    other = Other(torch.ones(1, 2, 1, 2) * torch.tensor([0.0, 1.0])[None, :, None, None], [1])
    other.features[..., 1] *= 3  # otherwise every pixel is the maximum
    view = View(1.0, torch.tensor([[[[1.0, 3.0]], [[0.0, 0.0]]]]))
    settings = RibSettings(iterations=2, learning_rate=0.01, weight_decay=0)
    collect(network, [view], lambda: [other], [0], (1, 2), settings)
    moved = network.classifier.weight.detach().squeeze() - torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert (moved != 0).tolist() == [[True, False], [False, True], [False, False]]


def test_explosion_ends_the_loop():
    # The first class is what is strong in channel 0. Training raises the weight of channel 1, which is flat.
    view = View(1.0, torch.tensor([[[[1.0, 0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]]]))
    small = View(0.5, view.features)
    settings = RibSettings(learning_rate=0.1, weight_decay=0)
    network = tail([[1.0, 0.1]])
    result = collect(network, [small, view], lambda: [], [0], (1, 4), settings)
    assert len(result.pooled) == 1 and network.classifier.weight[0, 1] > 0.5
    # Scale 1 twice, the other, though it comes first in the list, only before the update.
    after = network.classifier.weight.detach().flatten()
    expected = 2 * (view.features[0, 0] + 0.1) + after[0] * view.features[0, 0] + after[1]
    assert torch.allclose(result.maps[0], expected)


def test_what_covers_the_photo_from_the_start_does_not_explode():
    flat = View(1.0, row(1.0, 1.0, 1.0, 0.1))
    assert len(collect(tail([[1.0]]), [flat], lambda: [], [0], (1, 4), RibSettings()).pooled) == 10


def test_margin_ends_the_loop():
    network = tail([[1.0]])
    result = collect(network, [View(1.0, row(0.2, 0.2, 0.2, 1.0))], lambda: [], [0], (1, 4), RibSettings(margin=0.1))
    assert result.pooled == [pytest.approx(0.15)] and network.classifier.weight.item() == 1


def test_smaller_views_give_maps_but_no_gradient():
    network = tail([[1.0, 1.0]])
    large = View(1.0, torch.tensor([[[[1.0, 9.0]], [[0.0, 0.0]]]]))
    small = View(0.5, torch.tensor([[[[0.0, 0.0]], [[1.0, 9.0]]]]))
    settings = RibSettings(iterations=2, weight_decay=0, learning_rate=0.01)
    result = collect(network, [large, small], lambda: [], [0], (1, 2), settings)
    assert network.classifier.weight[0, 1].item() == 1 < network.classifier.weight[0, 0].item()
    assert torch.all(result.maps > 2)


def test_maps_are_those_of_the_photos_own_classes(classifier, dataset):
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    make = rib_maps(classifier, dataset)
    first = make(0)
    present = list(dataset.image_labels(0))
    absent = sorted(set(range(len(dataset.classes))) - set(present))
    assert first.shape == (len(dataset.classes), 16, 22) and first.dtype == torch.float32
    assert set(first[present].amax((-2, -1)).tolist()) <= {0.0, 1.0} and first[present].max() == 1
    assert first.min() >= 0 and first[absent].eq(0).all()
    make(1)
    assert torch.equal(make(0), first)  # each photo starts again from the trained classifier
    assert torch.equal(rib_maps(classifier, dataset)(0), first)
    after = classifier.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_one_iteration_is_the_plain_classifier(classifier, dataset):
    settings = RibSettings(iterations=1, scales=(1.0, 0.5))
    make = rib_maps(classifier, dataset, image_size=40, settings=settings)
    plain, _ = classifier.activation_maps(dataset.image(0)[None].float(), scales=(1.0, 0.5), flip=True)
    present = list(dataset.image_labels(0))
    assert torch.allclose(make(0)[present], plain[0, present], atol=1e-3)


def test_other_photos_share_no_class_and_are_fresh_at_each_step(classifier, dataset, tmp_path):
    root = shutil.copytree(dataset.root, tmp_path / "listed")
    shutil.rmtree(root / "labels")
    shown = [["disc"], ["disc", "star"], ["star"], ["star"], ["grass", "disc"], ["sand"], ["sand"], ["water"]]
    rows = [f"{name},{label}" for name, labels in zip(dataset.names, shown, strict=True) for label in labels]
    (root / "image_labels.csv").write_text("\n".join(["photo,class", *rows]) + "\n")
    make = rib_maps(classifier, FolderDataset(root), settings=RibSettings(others=2))
    classes = {name: index for index, name in enumerate(dataset.classes)}
    draw = make._others(0)
    steps = [[other.present for other in draw()] for _ in range(20)]
    allowed = [[classes[name]] for name in ("star", "sand", "water")]
    assert all(len(step) == 2 and all(present in allowed for present in step) for step in steps)
    assert len({str(step) for step in steps}) > 1
    assert rib_maps(classifier, FolderDataset(root), settings=FAST)(1).amax((-2, -1)).sum() > 0


def test_no_pixel_of_the_truth_is_read(classifier, dataset, tmp_path):
    root = shutil.copytree(dataset.root, tmp_path / "shuffled")
    rng = np.random.default_rng(0)
    for path in (root / "labels").iterdir():
        labels = np.array(Image.open(path))
        Image.fromarray(rng.permutation(labels.ravel()).reshape(labels.shape)).save(path)
    assert torch.equal(rib_maps(classifier, FolderDataset(root))(0), rib_maps(classifier, dataset)(0))


@pytest.mark.parametrize(("name", "count"), [("test_efficientnet", 2), ("test_efficientnet", 3), ("resnet18", 2)])
def test_parts_of_a_backbone_make_the_whole(name, count):
    backbone = Backbone(name, pretrained=False, output_stride=16).eval()
    below, above = divided(backbone, count)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(nn.Sequential(*below, *above)(images), backbone(images)[1])
    assert len(above) == count


def test_batch_norm_stays_frozen():
    _, above = divided(Backbone("test_efficientnet", pretrained=False), 2)
    learning = [name for name, p in Tail(above, nn.Conv2d(1, 1, 1)).body.named_parameters() if p.requires_grad]
    assert learning == ["0.weight"]


def test_what_cannot_be_used_is_named(classifier, dataset):
    backbone = Backbone("test_efficientnet", pretrained=False)
    with pytest.raises(ConfigError, match="trained_modules=99"):
        divided(backbone, 99)
    backbone.net = nn.Identity()
    with pytest.raises(ConfigError, match="not Identity"):
        divided(backbone, 2)
    with pytest.raises(CheckpointError, match="class"):
        RibMaps(classifier, dataset, custom_split(["a", "b"], ["b"]), image_size=64)
    with pytest.raises(ConfigError, match="knows 2 classes"):
        rib_maps(CamNetwork(CamConfig(num_classes=2, backbone="test_efficientnet"), pretrained=False), dataset)
    with pytest.raises(ValidationError, match="hold 1"):
        RibSettings(scales=(0.5, 2.0))
