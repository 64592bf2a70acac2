"""A checkpoint as the released code saves it, of a network with few and narrow layers on a full ResNet."""

from __future__ import annotations

import torch
from recorded import backbone_names, head_names, simnet_names
from torch import Tensor

from simformer.interop.convert import BACKBONES
from simformer.interop.released_names import SIMNET_PREFIX, network_name, simnet_name
from simformer.model import ModelConfig, SimFormer
from simformer.similarity import SimNet

LAYERS = 2
CONFIG = ModelConfig(
    **{
        **ModelConfig.paper(21).model_dump(), "width": 32, "queries": 5, "decoder_layers": LAYERS, "feed_forward": 48,
    }
)  # fmt: skip

COUNTERS = [
    f"{SIMNET_PREFIX}fc_branch.layers.block{block}.{norm}.num_batches_tracked"
    for block in range(3)
    for norm in ("bn1", "bn2")
]


def released_names(config: ModelConfig = CONFIG) -> list[str]:
    """Names of the network's tensors in the released code."""
    blocks = next(blocks for blocks, backbone in BACKBONES.items() if backbone == config.backbone)
    deeper = tuple(f"decoder.layers.{layer}." for layer in range(LAYERS, 6))
    return [*backbone_names(blocks), *(name for name in head_names() if not any(part in name for part in deeper))]


def released_network(config: ModelConfig = CONFIG) -> SimFormer:
    """The network whose weights the checkpoint holds; batch norms are not what they are at the start."""
    torch.manual_seed(0)
    network = SimFormer(config, pretrained=False).eval()
    for name, buffer in network.named_buffers():
        if "running_" in name:
            buffer.uniform_(0.5, 1.5)
    return network


def released_state(network: SimFormer) -> dict[str, Tensor]:
    """Its "model": the network and all that the released code saves with it."""
    state, simnet = network.state_dict(), SimNet(CONFIG.width, 16).state_dict()
    return {
        **{name: state[network_name(name)].clone() for name in released_names(network.config)},
        "criterion.ingore_th": torch.tensor(0.0),
        "criterion.empty_weight": torch.ones(22),
        **{name: simnet[simnet_name(name)] for name in [*simnet_names(), *COUNTERS]},
    }
