"""Every tensor of the released network has one place in this one."""

from __future__ import annotations

import pytest
import torch
from recorded import backbone_names, head_names, simnet_names

from simformer.interop.released_names import network_name, simnet_name
from simformer.model import ModelConfig, SimFormer
from simformer.similarity import SimNet


def tensors(module: torch.nn.Module) -> set[str]:
    return {name for name in module.state_dict() if not name.endswith("num_batches_tracked")}


def test_names_of_the_network():
    with torch.device("meta"):
        network = SimFormer(ModelConfig.paper(171), pretrained=False)
    released = [*backbone_names(), *head_names()]
    mapped = [network_name(name) for name in released]
    assert len(set(mapped)) == len(mapped)
    assert set(mapped) == tensors(network)


def test_names_of_simnet():
    mapped = [simnet_name(name) for name in simnet_names()]
    assert len(set(mapped)) == len(mapped)
    assert set(mapped) == tensors(SimNet(256))


@pytest.mark.parametrize("released, own", [
    ("backbone.res2.0.conv1.weight", "backbone.net.layer1.0.conv1.weight"),
    ("backbone.res5.2.conv3.norm.running_var", "backbone.net.layer4.2.bn3.running_var"),
    ("backbone.res4.0.shortcut.norm.bias", "backbone.net.layer3.0.downsample.1.bias"),
    ("sem_seg_head.pixel_decoder.adapter_1.weight", "pixel_decoder.laterals.0.0.weight"),
    ("sem_seg_head.pixel_decoder.layer_3.norm.weight", "pixel_decoder.outputs.2.1.weight"),
    ("sem_seg_head.predictor.transformer.decoder.layers.5.norm3.bias", "transformer.layers.5.norms.2.bias"),
    (
        "sem_seg_head.predictor.transformer.decoder.layers.0.multihead_attn.in_proj_weight",
        "transformer.layers.0.cross_attention.in_proj_weight",
    ),
    ("sem_seg_head.predictor.mask_embed.layers.2.bias", "mask_head.4.bias"),
])  # fmt: skip
def test_names_by_hand(released, own):
    assert network_name(released) == own


def test_names_that_have_no_place():
    simnet = "criterion.cro_pixel_sim_net.fc_branch.layers.block0.layer1.weight"
    assert simnet_name(simnet) == "blocks.0.inner.weight"
    assert network_name(simnet) is None
    for name in ("criterion.empty_weight", "sem_seg_head.unknown.weight", "backbone.res2.0.conv1.extra.weight"):
        assert network_name(name) is None and simnet_name(name) is None
    assert simnet_name("backbone.stem.conv1.weight") is None
