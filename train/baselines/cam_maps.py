"""The classifier's activation maps as they are: the plainest source of pseudo masks (Zhou et al., CVPR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from simformer.cam import CamNetwork
from simformer.datasets.folder import FolderDataset
from simformer.splits import Split
from train.baselines.photos import check_roles, for_inference, network_input

SCALES = (0.5, 1.0, 1.5, 2.0)


class CamMaps:
    """Activation maps of a data set's photos, several scales and flips, only of classes the photo is labelled with.

    Args:
        classifier: trained on image-level labels of all classes.
        dataset: its image-level labels decide which maps are kept.
        split: its classes.
        image_size: short side in pixels at scale 1.
        seed: nothing here is random; every map maker takes one.

    Raises:
        CheckpointError, ConfigError: classes that do not fit together.
    """

    def __init__(self, classifier: CamNetwork, dataset: FolderDataset, split: Split, *, image_size: int, seed: int = 0):
        check_roles(classifier, dataset, split)
        self.classifier = for_inference(classifier)
        self.device = classifier.classifier.weight.device
        self.dataset = dataset
        self.image_size = image_size

    @torch.no_grad()
    def __call__(self, index: int) -> Tensor:
        """Maps of one photo: K x h x w float32 on the CPU, 0 to 1, each present class's maximum 1, stride 4."""
        image = network_input(self.dataset, index, self.image_size, self.device)
        maps = self.classifier.activation_maps(image, SCALES, flip=True)[0][0].cpu()
        present = torch.zeros(len(maps), 1, 1)
        present[list(self.dataset.image_labels(index))] = 1
        return maps * present
