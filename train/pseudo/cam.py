"""The classifier's activation maps as they are: the plainest source of pseudo masks (Zhou et al., CVPR 2016)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from simformer.cam import CamNetwork
from simformer.datasets.folder import FolderDataset
from simformer.splits import Split
from simformer.weights import Scales
from train.pseudo.photos import Photos


class CamSettings(BaseModel):
    """Views of a photo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["cam"] = "cam"
    scales: Scales = Field(default=(0.5, 1.0, 1.5, 2.0), description="as multiples of image_size")
    flip: bool = Field(default=True, description="each of them mirrored as well")


DEFAULTS = CamSettings()


class CamMaps:
    """Activation maps of a data set's photos, several scales and flips, only of classes the photo is labelled with.

    Args:
        classifier: trained on image-level labels of all classes.
        dataset: its image-level labels decide which maps are kept.
        split: its classes.
        image_size: short side in pixels at scale 1.
        settings: of the views.
        seed: nothing here is random; every map maker takes one.

    Raises:
        CheckpointError, ConfigError: classes that do not fit together.
    """

    def __init__(
        self,
        classifier: CamNetwork,
        dataset: FolderDataset,
        split: Split,
        *,
        image_size: int,
        settings: CamSettings = DEFAULTS,
        seed: int = 0,
    ):
        self.settings = settings
        self.photos = Photos(classifier, dataset, split, image_size)

    @torch.no_grad()
    def __call__(self, index: int) -> Tensor:
        """Maps of one photo: K x h x w float32 on the CPU, 0 to 1, each present class's maximum 1, stride 4."""
        views = self.settings.scales, self.settings.flip
        maps = self.photos.network.activation_maps(self.photos.pixels(index), *views)[0][0].cpu()
        present = torch.zeros(len(maps), 1, 1)
        present[list(self.photos.dataset.image_labels(index))] = 1
        return maps * present
