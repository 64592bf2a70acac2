"""The classifier's activation maps as they are: the plainest source of pseudo masks (Zhou et al., CVPR 2016)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from simformer.cam import CamNetwork
from simformer.datasets.folder import FolderDataset
from simformer.predictor import input_size
from simformer.splits import Split

SCALES = (0.5, 1.0, 1.5, 2.0)


class CamMaps:
    """Activation maps of a data set's photos, several scales and flips, only of classes the photo is labelled with.

    Args:
        classifier: trained on image-level labels of all classes.
        dataset: its image-level labels decide which maps are kept.
        split: not looked at: the classifier knows no masks. Every map maker takes it.
        image_size: short side in pixels at scale 1.
    """

    def __init__(self, classifier: CamNetwork, dataset: FolderDataset, split: Split, *, image_size: int, seed: int = 0):
        self.classifier = classifier.eval()
        self.dataset = dataset
        self.image_size = image_size

    @torch.no_grad()
    def __call__(self, index: int) -> Tensor:
        """Maps of one photo: K x h x w float32 on the CPU, 0 to 1, each present class's maximum 1, stride 4."""
        image = network_input(self.dataset.image(index), self.image_size).to(self.classifier.classifier.weight.device)
        maps = self.classifier.activation_maps(image, SCALES, flip=True)[0][0].cpu()
        present = torch.zeros(len(maps), 1, 1)
        present[list(self.dataset.image_labels(index))] = 1
        return maps * present


def network_input(image: Tensor, image_size: int) -> Tensor:
    """A photo (3 x H x W uint8) at test-time size, as `Predictor` would see it: 1 x 3 x h x w float32, 0 to 255."""
    width, height = input_size((image.shape[2], image.shape[1]), image_size)
    resized = F.interpolate(image[None].float(), size=(height, width), mode="bilinear", antialias=True)
    return resized.clamp(0, 255)
