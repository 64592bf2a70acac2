"""The classifier's activation maps as they are: the plainest source of pseudo masks (Zhou et al., CVPR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from simformer.cam import CamNetwork
from simformer.datasets.folder import FolderDataset
from simformer.splits import Split
from train.pseudo.photos import Photos

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
        self.photos = Photos(classifier, dataset, split, image_size)

    @torch.no_grad()
    def __call__(self, index: int) -> Tensor:
        """Maps of one photo: K x h x w float32 on the CPU, 0 to 1, each present class's maximum 1, stride 4."""
        maps = self.photos.network.activation_maps(self.photos.pixels(index), SCALES, flip=True)[0][0].cpu()
        present = torch.zeros(len(maps), 1, 1)
        present[list(self.photos.dataset.image_labels(index))] = 1
        return maps * present
