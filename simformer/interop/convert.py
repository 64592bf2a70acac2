"""The authors' released weights, and those of MaskFormer's model zoo, as weights files of this project.

Both are checkpoints of Detectron2: a dict whose "model" maps names to tensors, saved by torch (.pth) or pickled as
numpy arrays (.pkl). Neither is trusted: reading one never runs code that it brings.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from simformer.checkpoint import build_network, save_checkpoint
from simformer.errors import CheckpointError, ConfigError
from simformer.interop.released_names import SIMNET_PREFIX, network_name, simnet_name
from simformer.interop.restricted_pickle import read_pickle
from simformer.model import ModelConfig
from simformer.splits import Split
from simformer.utils.validation import first_problem
from simformer.weights import Card, Inference

# Blocks of the four stages -> the backbone's name.
BACKBONES: dict[tuple[int, ...], str] = {(3, 4, 6, 3): "resnet50", (3, 4, 23, 3): "resnet101.tv_in1k"}
# Constants of the losses.
CRITERION = ("criterion.empty_weight", "criterion.ingore_th")
NORMALIZATION = {"pixel_mean": "mean", "pixel_std": "std"}


@dataclass(frozen=True)
class Released:
    """A released checkpoint's tensors under this project's names.

    Attributes:
        network: the network's tensors.
        names: the released name of each.
        normalization: "mean" and "std" of R, G, B (0 to 255), where the checkpoint has them.
        simnet: released names of SimNet's tensors, which only training reads. Left out.
        constants: released names of the losses' constants. Left out.
    """

    network: dict[str, Tensor]
    names: dict[str, str]
    normalization: dict[str, tuple[float, ...]]
    simnet: tuple[str, ...]
    constants: tuple[str, ...]


def read_released(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .pkl checkpoint by their released names, on the CPU.

    Raises:
        CheckpointError: the file is missing or damaged, asks for code to be run (names it), or holds no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    content = read_pickle(path) if path.suffix == ".pkl" else _load_torch(path)
    model = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(model, Mapping) or not model:
        raise CheckpointError(f"{path} holds no weights by name")
    tensors = {}
    for name, value in model.items():
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path} holds {name!r}, which is a {type(value).__name__}, no tensor with a name")
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise CheckpointError(f"{path} holds {name!r}, whose numbers are not stored one by one")
        # A view of one number may claim to be a matrix of a billion, and would become one.
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(f"{path} has too few numbers for {name!r} of shape {tuple(value.shape)}")
        tensors[name] = value.detach()
    return tensors


def sort_released(tensors: Mapping[str, Tensor]) -> Released:
    """Every tensor under its name here, or among those that inference does not need.

    Raises:
        CheckpointError: a name has no place in this network, two have the same, or one holds no numbers.
    """
    network: dict[str, Tensor] = {}
    names, normalization, simnet, constants = {}, {}, [], []
    for name, tensor in tensors.items():
        own = network_name(name)
        if name in CRITERION:
            constants.append(name)
        elif name in NORMALIZATION:
            normalization[NORMALIZATION[name]] = tuple(tensor.flatten().tolist())
        elif name.startswith(SIMNET_PREFIX) and simnet_name(name) is not None:
            simnet.append(name)
        elif own is None:
            raise CheckpointError(f"this network has no place for the tensor {name}")
        elif own in network:
            raise CheckpointError(f"{names[own]} and {name} would both become {own}")
        elif not tensor.is_floating_point() or not tensor.isfinite().all():
            raise CheckpointError(f"the tensor {name} does not hold finite numbers everywhere")
        else:
            network[own], names[own] = tensor, name
    return Released(network, names, normalization, tuple(simnet), tuple(constants))


def released_config(network: Mapping[str, Tensor]) -> ModelConfig:
    """The sizes that a network's tensors show. Heads cannot be seen in them; MaskFormer always has 8.

    Raises:
        CheckpointError: a tensor is missing or of a size no network has, or the backbone is another than ResNet-50
            and ResNet-101.
    """
    blocks = tuple(_count(network, rf"backbone\.net\.layer{stage}\.(\d+)\.") for stage in range(1, 5))
    backbone = BACKBONES.get(blocks)
    if backbone is None:
        raise CheckpointError(f"its backbone has {blocks} blocks in its stages, which is neither ResNet-50 nor -101")
    outputs, width = _matrix(network, "class_head.weight")
    sizes = {
        "num_classes": outputs - 1,
        "backbone": backbone,
        "width": width,
        "queries": _matrix(network, "transformer.queries.weight")[0],
        "decoder_layers": _count(network, r"transformer\.layers\.(\d+)\."),
        "feed_forward": _matrix(network, "transformer.layers.0.feed_forward.0.weight")[0],
    }
    try:
        return ModelConfig(**(ModelConfig.paper(1).model_dump() | sizes))
    except ValidationError as error:
        raise CheckpointError(f"its network cannot be made: {first_problem(error)}") from error


def convert(source: str | Path, target: str | Path, split: Split, image_size: int) -> tuple[Card, Released]:
    """Write a released checkpoint as a weights file, in float32, so that its numbers stay exactly what they were.

    Args:
        source: .pth or .pkl.
        target: the .safetensors file to write.
        split: classes and roles, for the card.
        image_size: pixels of the short side at test time.

    Returns:
        The card written, and the tensors by kind: what was left out, and why, stands there.

    Raises:
        CheckpointError: `source` cannot be read or is another network's (names the tensor), or has other classes
            than `split`.
    """
    try:
        released = sort_released(read_released(source))
        config = released_config(released.network)
        if config.num_classes != len(split.classes):
            raise CheckpointError(f"it has {config.num_classes} classes, but {split.dataset} {len(split.classes)}")
        card = _card(config, split, image_size, released.normalization, Path(source).name)
        state = _complete(released, build_network(card).state_dict())
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{source} cannot be converted: {error}") from error
    save_checkpoint(target, state, card, dtype=torch.float32)
    return card, released


def _card(config: ModelConfig, split: Split, image_size: int, normalization: dict, name: str) -> Card:
    try:
        return Card(
            kind="simformer",
            architecture=config.model_dump(mode="json"),
            classes=split.classes,
            roles=split.roles,
            dataset=split.dataset,
            split=split.name,
            image_size=image_size,
            inference=Inference(exact=True),  # so are the authors' numbers
            note=f"converted from {name}",
            **normalization,
        )
    except ValidationError as error:
        raise CheckpointError(first_problem(error)) from error


def _complete(released: Released, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors and the counters that frozen batch norms lack; CheckpointError if one does not fit."""
    state = {}
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):
            state[name] = tensor
        elif name not in released.network:
            raise CheckpointError(f"it has no tensor for {name}")
        elif released.network[name].shape != tensor.shape:
            shapes = f"{tuple(released.network[name].shape)}, not {tuple(tensor.shape)}"
            raise CheckpointError(f"its tensor {released.names[name]} is of shape {shapes}")
        else:
            state[name] = released.network[name]
    for name, original in released.names.items():
        if name not in expected:
            raise CheckpointError(f"this network has no place for the tensor {original}")
    return state


def _load_torch(path: Path) -> Any:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > path.stat().st_size:  # torch packs nothing
                reason = f"it is a packed archive of {unpacked:,} bytes, not one of torch"
                raise CheckpointError(f"{path} is not read: {reason}")
        return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked:
            reason = f"it asks for {asked[1]}, which weights do not need"
            raise CheckpointError(f"{path} is not read: {reason}") from error
        raise CheckpointError(f"{path} is damaged or no checkpoint of torch") from error
    except Exception as error:  # zipfile and torch.load raise nearly anything on a damaged file
        raise CheckpointError(f"{path} is damaged or no checkpoint of torch") from error


def _count(network: Mapping[str, Tensor], pattern: str) -> int:
    """How many different indices the names that match have; a gap among them shows when the tensors are matched."""
    indices = {int(found[1]) for name in network if (found := re.match(pattern, name))}
    return len(indices)


def _matrix(network: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    if name not in network:
        raise CheckpointError(f"it has no tensor for {name}")
    if network[name].dim() != 2:
        raise CheckpointError(f"its tensor for {name} is of shape {tuple(network[name].shape)}, not a matrix")
    rows, columns = network[name].shape
    return rows, columns
