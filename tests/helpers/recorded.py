"""The released network's tensors by name, and weights that anyone can rebuild: every tensor drawn from its name."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import torch

from simformer.interop.released_names import SIMNET_PREFIX, network_name, simnet_name
from simformer.model import ModelConfig, SimFormer
from simformer.similarity import SimNet

CLASSES = 171
NORM = ("weight", "bias", "running_mean", "running_var")
AFFINE = ("weight", "bias")
HEAD, PREDICTOR = "sem_seg_head.pixel_decoder", "sem_seg_head.predictor"


def under(prefix: str, leaves: tuple[str, ...]) -> list[str]:
    return [f"{prefix}.{leaf}" for leaf in leaves]


def backbone_names(blocks_of_stages: tuple[int, ...] = (3, 4, 6, 3)) -> list[str]:
    names = ["backbone.stem.conv1.weight", *under("backbone.stem.conv1.norm", NORM)]
    for stage, blocks in zip((2, 3, 4, 5), blocks_of_stages, strict=True):
        for block in range(blocks):
            for conv in ("conv1", "conv2", "conv3", *(["shortcut"] if block == 0 else [])):
                prefix = f"backbone.res{stage}.{block}.{conv}"
                names += [f"{prefix}.weight", *under(f"{prefix}.norm", NORM)]
    return names


def head_names() -> list[str]:
    names = under(f"{HEAD}.mask_features", AFFINE)
    for conv in ("adapter_1", "adapter_2", "adapter_3", "layer_1", "layer_2", "layer_3", "layer_4"):
        names += [f"{HEAD}.{conv}.weight", *under(f"{HEAD}.{conv}.norm", AFFINE)]
    for layer in range(6):
        prefix = f"{PREDICTOR}.transformer.decoder.layers.{layer}"
        for attention in ("self_attn", "multihead_attn"):
            names += under(f"{prefix}.{attention}", ("in_proj_weight", "in_proj_bias"))
            names += under(f"{prefix}.{attention}.out_proj", AFFINE)
        for part in ("linear1", "linear2", "norm1", "norm2", "norm3"):
            names += under(f"{prefix}.{part}", AFFINE)
    names += [*under(f"{PREDICTOR}.transformer.decoder.norm", AFFINE), f"{PREDICTOR}.query_embed.weight"]
    for part in ("input_proj", "class_embed", *(f"mask_embed.layers.{layer}" for layer in range(3))):
        names += under(f"{PREDICTOR}.{part}", AFFINE)
    return names


def simnet_names() -> list[str]:
    names = under(f"{SIMNET_PREFIX}out_head", AFFINE)
    for block, part in itertools.product(range(3), ("layer1", "layer2", "bn1", "bn2", "sqz")):
        if part != "sqz" or block == 0:
            prefix = f"{SIMNET_PREFIX}fc_branch.layers.block{block}.{part}"
            names += under(prefix, NORM if part.startswith("bn") else AFFINE)
    return names


def drawn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The tensor that belongs to a released name."""
    n = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        value = 1 + 0.1 * abs(n)
    elif name.endswith(("running_mean", "bias")):
        value = 0.1 * n
    elif n.ndim == 1:
        value = 1 + 0.1 * n
    else:
        value = n / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(value)


def recorded_network() -> SimFormer:
    """The paper's network with drawn weights, in evaluation mode."""
    network = SimFormer(ModelConfig.paper(CLASSES), pretrained=False)
    return fill(network, [*backbone_names(), *head_names()], network_name)


def recorded_simnet() -> SimNet:
    """SimNet with drawn weights, in evaluation mode."""
    return fill(SimNet(256), simnet_names(), simnet_name)


def fill(module, names, rename):
    own = {name: tensor for name, tensor in module.state_dict().items() if not name.endswith("num_batches_tracked")}
    state = {rename(name): drawn(name, tuple(own[rename(name)].shape)) for name in names}
    assert state.keys() == own.keys()
    module.load_state_dict(state, strict=False)
    return module.eval()
