"""Weights files: safetensors with a card inside that says everything needed to use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from simformer.cam import CamConfig, CamNetwork
from simformer.errors import CheckpointError, ConfigError
from simformer.labels import VOID
from simformer.model import ModelConfig, SimFormer
from simformer.utils.files import atomic_write
from simformer.utils.validation import first_problem

CARD_KEY = "card"
LARGEST_SIDE = 4096  # pixels of the short side at which a network may see a photo
# Multiples of the image size at which a network sees a photo.
Scales = Annotated[tuple[Annotated[float, Field(gt=0, le=8)], ...], Field(min_length=1)]


class Inference(BaseModel):
    """How the weights are meant to be used where the caller does not say.

    Attributes:
        scales: the network sees the photo at these multiples of the card's image size, the maps are averaged.
        flip: it sees each of them mirrored as well.
        present_threshold: classes of at least this probability (0 to 1) are taken to be in the photo; "cam" only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: Scales = (1.0,)
    flip: bool = False
    present_threshold: float = Field(0.5, ge=0, le=1)


class Card(BaseModel):
    """What a weights file says about itself.

    Attributes:
        version: of this card's layout.
        kind: "simformer" (ModelConfig in `architecture`) or "cam" (CamConfig).
        architecture: configuration of the network, as its `model_dump()` gives it.
        classes, roles: K class names and "base" or "novel" for each.
        dataset, split: names of the training data set and of its base/novel split.
        image_size: pixels of the short side at test time.
        mean, std: normalization of R, G, B on the 0 to 255 scale.
        training: configuration of the run that made the weights.
        step, commit: training steps taken, and the commit of the code that took them.
        metrics: scores measured with these weights.
        inference: how to use them unless the caller says otherwise.
        note: anything else a reader should know.
    """

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    kind: Literal["simformer", "cam"]
    architecture: dict[str, Any]
    classes: tuple[str, ...] = Field(min_length=1, max_length=VOID)
    roles: tuple[Literal["base", "novel"], ...]
    dataset: str
    split: str
    image_size: int = Field(ge=16, le=LARGEST_SIDE)
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    training: dict[str, Any] = {}
    step: int = Field(0, ge=0)
    commit: str = ""
    metrics: dict[str, Any] = {}
    inference: Inference = Inference()
    note: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if len(self.roles) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes but {len(self.roles)} roles")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        return self

    @property
    def novel(self) -> tuple[int, ...]:
        """Indices of the novel classes."""
        return tuple(index for index, role in enumerate(self.roles) if role == "novel")


def save_checkpoint(
    path: str | Path, state_dict: Mapping[str, Tensor], card: Card, *, dtype: torch.dtype = torch.float16
) -> None:
    """Write weights and card as one safetensors file, at once or not at all.

    Args:
        path: the file; an existing one is replaced.
        state_dict: tensors of any device; those of floating point are stored as `dtype`.
        card: goes into the metadata as JSON under "card".

    Raises:
        CheckpointError: a value is not finite (in `dtype`); names the tensor.
    """
    tensors = {}
    for name, tensor in state_dict.items():
        # A copy of its own: safetensors refuses tensors that share memory.
        stored = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        if stored.is_floating_point():
            stored = stored.to(dtype)
            if not stored.isfinite().all():
                raise CheckpointError(f"{path} is not written: {name} is not finite everywhere in {dtype}")
        tensors[name] = stored
    content = save(tensors, metadata={CARD_KEY: card.model_dump_json()})
    with atomic_write(path) as file:
        file.write(content)


def load_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], Card]:
    """Read weights (floating-point tensors as float32, on the CPU) and their card.

    Raises:
        CheckpointError: the file is missing, broken, of another format, or has no card this version can read.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no weights file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {_reason(path, error)}") from error
    if CARD_KEY not in metadata:
        raise CheckpointError(f"{path} has no card, so its classes and architecture are not known")
    try:
        card = Card.model_validate_json(metadata[CARD_KEY])
    except ValidationError as error:
        raise CheckpointError(f"the card of {path} cannot be used: {first_problem(error)}") from error
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, card


def build_network(card: Card) -> nn.Module:
    """The network a card describes, with random weights and the card's normalization.

    Its weights are laid out channels last, which is 10 to 20% faster on CPUs.

    Raises:
        CheckpointError: the card's architecture is not a valid configuration, or contradicts its class list.
        ConfigError: the backbone cannot be made.
    """
    make_config, make_network = (CamConfig, CamNetwork) if card.kind == "cam" else (ModelConfig, SimFormer)
    try:
        config = make_config(**card.architecture)
    except ValidationError as error:
        raise CheckpointError(f"the card's architecture cannot be used: {first_problem(error)}") from error
    if config.num_classes != len(card.classes):
        raise CheckpointError(
            f"the card's network has {config.num_classes} classes but its class list {len(card.classes)}"
        )
    network = make_network(config, pretrained=False)
    for name, values in (("mean", card.mean), ("std", card.std)):
        buffer = network.get_buffer(name)
        buffer.copy_(torch.tensor(values).view_as(buffer))
    return network


def load_network(path: str | Path, device: str | torch.device = "cpu") -> tuple[nn.Module, Card]:
    """The network of a weights file, in evaluation mode on `device`, and its card.

    Raises:
        CheckpointError: as load_checkpoint and build_network; or a tensor is missing, unknown or misshapen.
        ConfigError: the device cannot be used.
    """
    state_dict, card = load_checkpoint(path)
    try:
        network = build_network(card)
        check_tensors(state_dict, network)
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error
    network.load_state_dict(state_dict)
    try:
        return network.eval().to(device), card
    except (RuntimeError, AssertionError) as error:  # no such device, or torch was built without it
        raise ConfigError(f"the device {device} cannot be used: {str(error).splitlines()[0]}") from error


def check_tensors(state_dict: Mapping[str, Tensor], network: nn.Module) -> None:
    """Raise CheckpointError naming the first tensor that is missing, unknown or of the wrong shape."""
    expected = network.state_dict()
    for name, tensor in expected.items():
        if name not in state_dict:
            raise CheckpointError(f"the tensor {name} is missing")
        if state_dict[name].shape != tensor.shape:
            shapes = f"{tuple(state_dict[name].shape)} in the file but {tuple(tensor.shape)} in the network"
            raise CheckpointError(f"the tensor {name} is {shapes}")
    for name in state_dict:
        if name not in expected:
            raise CheckpointError(f"the network has no tensor {name}")


def check_classes(data: Sequence[str], weights: Sequence[str]) -> None:
    """Raise CheckpointError naming the first difference between a data set's and a network's class list."""
    for index, (ours, theirs) in enumerate(zip(data, weights, strict=False)):
        if ours != theirs:
            raise CheckpointError(f"class {index} is {ours!r} in the data but {theirs!r} in the weights")
    if len(data) != len(weights):
        longer, place = (data, "data") if len(data) > len(weights) else (weights, "weights")
        first = min(len(data), len(weights))
        raise CheckpointError(
            f"the data has {len(data)} classes and the weights {len(weights)}: "
            f"only the {place} has class {first}, {longer[first]!r}"
        )


def _reason(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError:
        return str(error)
    # A zip archive or a bare pickle: what torch.save writes.
    if start == b"PK" or start[:1] == b"\x80":
        return "it is a PyTorch pickle (.pth) under another name"
    return str(error)
