"""What every map maker asks of a data set and of CAM's classifier."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from simformer.cam import CamNetwork
from simformer.checkpoint import check_classes
from simformer.datasets.folder import FolderDataset
from simformer.errors import ConfigError
from simformer.predictor import STRIDE, input_size
from simformer.splits import Split


def check_roles(classifier: CamNetwork, dataset: FolderDataset, split: Split) -> None:
    """Raises CheckpointError or ConfigError unless classifier, data set and split are of the same classes."""
    check_classes(dataset.classes, split.classes)
    if classifier.config.num_classes != len(split.classes):
        raise ConfigError(
            f"the classifier knows {classifier.config.num_classes} classes, but {dataset.root} has {len(split.classes)}"
        )


def network_input(dataset: FolderDataset, index: int, image_size: int, device: torch.device) -> Tensor:
    """A photo at test-time size (see `input_size`): float32 RGB 0..255, 1 x 3 x H x W, on `device`."""
    image = dataset.image(index).to(device)[None].float()
    width, height = input_size((image.shape[-1], image.shape[-2]), image_size)
    return F.interpolate(image, (height, width), mode="bilinear", align_corners=False, antialias=True)


def map_size(pixels: Tensor) -> tuple[int, int]:
    """Height and width of the maps made of an input: a quarter of its own, as `CamNetwork.activation_maps` has it."""
    height, width = pixels.shape[-2:]
    return -(-height // STRIDE), -(-width // STRIDE)


def for_inference(classifier: CamNetwork) -> CamNetwork:
    """A faster copy that gives no gradient: batch norm folded, channels last. The classifier stays as it is."""
    network = copy.deepcopy(classifier).eval().requires_grad_(False)
    network.backbone.fold_batch_norm()
    return network.to(memory_format=torch.channels_last)
