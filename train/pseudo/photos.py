"""The photos of a data set as the map makers' networks see them."""

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


class Photos:
    """The photos of a data set, and a copy of CAM's classifier that looks at them.

    Args:
        classifier: trained on image-level labels of all classes; it stays as it is.
        dataset: the photos.
        split: its classes.
        image_size: short side in pixels at which the classifier sees a photo.

    Attributes:
        network: the classifier's faster copy, which gives no gradient.
        device: the classifier's.

    Raises:
        CheckpointError, ConfigError: classifier, data set and split are not of the same classes.
    """

    def __init__(self, classifier: CamNetwork, dataset: FolderDataset, split: Split, image_size: int):
        check_classes(dataset.classes, split.classes)
        known = classifier.config.num_classes
        if known != len(split.classes):
            raise ConfigError(f"the classifier knows {known} classes, but {dataset.root} has {len(split.classes)}")
        self.dataset = dataset
        self.image_size = image_size
        self.network = for_inference(classifier)
        self.device = classifier.classifier.weight.device

    def pixels(self, index: int) -> Tensor:
        """A photo at test-time size (see `input_size`): float32 RGB 0..255, 1 x 3 x H x W, on `device`."""
        return self.at_test_size(self.dataset.image(index))

    def at_test_size(self, image: Tensor, scale: float = 1.0) -> Tensor:
        """Any photo, uint8 RGB 3 x H x W, at `scale` times its test-time size: 1 x 3 x h x w as `pixels`."""
        height, width = self.input_size(image)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        image = image.to(self.device)[None].float()
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def input_size(self, image: Tensor) -> tuple[int, int]:
        """Test-time (height, width) of a photo, 3 x H x W."""
        width, height = input_size((image.shape[-1], image.shape[-2]), self.image_size)
        return height, width


def novel_labels(dataset: FolderDataset, split: Split, index: int) -> list[int]:
    """The photo's novel image-level labels, ascending; all its labels where its masks are withheld."""
    return dataset.labels_without_masks(index, split.novel)


def map_size(pixels: Tensor) -> tuple[int, int]:
    """Height and width of the maps made of an input: a quarter of its own, as `CamNetwork.activation_maps` has it."""
    height, width = pixels.shape[-2:]
    return -(-height // STRIDE), -(-width // STRIDE)


def for_inference(classifier: CamNetwork) -> CamNetwork:
    """A faster copy that gives no gradient: batch norm folded, channels last. The classifier stays as it is."""
    network = copy.deepcopy(classifier).eval().requires_grad_(False)
    network.backbone.prepare_for_inference()
    return network.to(memory_format=torch.channels_last)
