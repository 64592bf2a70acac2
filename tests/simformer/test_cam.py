"""CAM: the classifier, its activation maps on a case worked out by hand, and their restriction to present classes."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from simformer.cam import CamConfig, CamNetwork, multilabel_loss
from simformer.model import Targets
from simformer.predictor import Predictor
from simformer.weights import Inference


class FourPixels(nn.Module):
    """In the backbone's place: the mean color of every 4 x 4 pixels."""

    def forward(self, images: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        return [], F.avg_pool2d(images, 4)


def by_hand(weights: list[list[float]]) -> CamNetwork:
    """Class maps are these weights times the color of every 4 x 4 pixels."""
    network = CamNetwork(CamConfig(num_classes=len(weights), backbone="test_efficientnet"), pretrained=False).eval()
    network.backbone = FourPixels()
    network.classifier = nn.Conv2d(3, len(weights), 1, bias=False)
    network.classifier.weight.data = torch.tensor(weights, dtype=torch.float32)[:, :, None, None]
    network.mean.zero_()
    network.std.fill_(1)
    return network


def colors(*columns: list[float]) -> torch.Tensor:
    """An image of 4 x 4 pixel squares side by side."""
    return torch.tensor(columns, dtype=torch.float32).t()[None, :, None].repeat_interleave(4, 2).repeat_interleave(4, 3)


@pytest.fixture(scope="module")
def network() -> CamNetwork:
    torch.manual_seed(0)
    network = CamNetwork(CamConfig(num_classes=3, backbone="test_efficientnet"), pretrained=False).eval()
    network.classifier.weight.data *= 1000  # what an untrained backbone has to say is faint
    return network


@torch.no_grad()
def test_activation_maps_by_hand():
    # Classes: red, red minus green, never active. Four squares.
    network = by_hand([[1, 0, 0], [1, -1, 0], [0, 0, -1]])
    image = colors([1, 0, 0], [4, 6, 0], [2, 0, 3], [0, 1, 0])
    logits = [(1 + 4 + 2 + 0) / 4, (1 - 2 + 2 - 1) / 4, -3 / 4]
    assert network(image)[0].tolist() == pytest.approx(logits)
    maps, probabilities = network.activation_maps(image)
    assert probabilities[0].tolist() == pytest.approx([1 / (1 + math.exp(-x)) for x in logits])
    assert maps[0, :, 0].tolist() == [[0.25, 1, 0.5, 0], [0.5, 0, 1, 0], [0, 0, 0, 0]]


@torch.no_grad()
def test_views_are_summed_before_the_maximum_is_taken():
    # At half the size the squares are averaged in twos (then spread out again), at the full size they are kept.
    network = by_hand([[1, 0, 0]])
    image = colors([8, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]).repeat_interleave(2, 2)
    whole = torch.tensor([8.0, 0, 0, 0])
    halves = F.interpolate(torch.tensor([[[[4.0, 0]]]]), size=(1, 4), mode="bilinear")[0, 0, 0]
    maps, probabilities = network.activation_maps(image, scales=(1.0, 0.5))
    expected = (whole + halves) / (whole + halves).max()
    assert maps[0, 0].tolist() == pytest.approx(expected.expand(2, 4))
    assert float(probabilities) == pytest.approx(1 / (1 + math.exp(-2)))


@torch.no_grad()
def test_mirrored_views_are_turned_back():
    network = by_hand([[1, 0, 0]])
    image = colors([1, 0, 0], [4, 0, 0], [2, 0, 0], [0, 0, 0])
    for flip in (False, True):
        assert network.activation_maps(image, flip=flip)[0][0, 0, 0].tolist() == [0.25, 1, 0.5, 0]


@torch.no_grad()
def test_with_flips_a_mirrored_photo_gives_mirrored_maps(network):
    image = 255 * torch.rand(2, 3, 40, 64)
    maps, probabilities = network.activation_maps(image, scales=(1.0, 1.25), flip=True)
    mirrored, same = network.activation_maps(image.flip(-1), scales=(1.0, 1.25), flip=True)
    assert torch.allclose(mirrored.flip(-1), maps, atol=1e-4)
    assert torch.allclose(same, probabilities, atol=1e-5)
    alone, _ = network.activation_maps(image)
    assert not torch.allclose(network.activation_maps(image.flip(-1))[0].flip(-1), alone, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (33, 65), (64, 64)])
@torch.no_grad()
def test_maps_are_normalized_per_class(network, size):
    maps, probabilities = network.activation_maps(255 * torch.rand(2, 3, *size), scales=(0.5, 1.0), flip=True)
    assert maps.shape == (2, 3, math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    assert probabilities.shape == (2, 3)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert (maps >= 0).all()
    for maximum in maps.amax((2, 3)).flatten().tolist():
        assert maximum in (0, pytest.approx(1))


def test_normalization_and_dropout():
    config = CamConfig(num_classes=2, backbone="test_efficientnet", dropout=0.5)
    network = CamNetwork(config, pretrained=False)
    image = 255 * torch.rand(1, 3, 32, 32)
    _, features = network.eval().backbone((image - network.mean) / network.std)
    assert torch.equal(network.class_maps(image), network.classifier(features))
    assert network.classifier.bias is None
    network.train()
    torch.manual_seed(0)
    assert not torch.equal(network(image), network(image))


def test_multilabel_loss_by_hand():
    # Means over classes and images of -log p where present, -log (1 - p) where not.
    logits = torch.tensor([[0.0, math.log(3)], [0.0, -math.log(3)]])
    targets = Targets(torch.zeros(0), torch.zeros(0), [], [torch.tensor([0]), torch.tensor([1])])
    expected = (math.log(2) + math.log(4) + math.log(2) + math.log(4)) / 4
    assert float(multilabel_loss(logits, targets)) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [{"num_classes": 0}, {"num_classes": 2, "dropout": 1}, {"num_classes": 2, "width": 64}])
def test_impossible_sizes(bad):
    with pytest.raises(ValidationError):
        CamConfig(**bad)


# --- only classes that the classifier says are present -----------------------------------------------------


# Color of three squares, and the probability of each class: a color that is missing speaks against its class.
SQUARES = [[255, 0, 0], [0, 255, 0], [0, 0, 240]]
RED, GREEN, BLUE = (1 / (1 + math.exp(-x)) for x in (0.02 * 35, 0.01 * 35, 0.001 * 30))


def predicted(threshold: float) -> list[int]:
    """Labels of the squares under a network that is sure of red (class 0), less of green (1) and of blue (2)."""
    network = by_hand([[0.02, 0, 0], [0, 0.01, 0], [0, 0, 0.001]])
    network.mean.fill_(50)
    card = SimpleNamespace(kind="cam", image_size=4, classes=("red", "green", "blue"), roles=("novel",) * 3)
    predictor = Predictor(network, card, "cam", inference=Inference(present_threshold=threshold))
    photo = np.repeat(np.repeat(np.array([SQUARES], np.uint8), 4, 0), 4, 1)
    return predictor.segment(photo).labels[2, [2, 6, 10]].tolist()


def test_absent_classes_get_no_pixels():
    assert RED > GREEN > BLUE > 0.5
    assert predicted(0.5) == [0, 1, 2]
    assert predicted((GREEN + BLUE) / 2) == [0, 1, 0]
    assert predicted((RED + GREEN) / 2) == [0, 0, 0]
    assert predicted(1.0) == [0, 0, 0]  # the most probable class remains
