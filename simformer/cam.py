"""Class activation maps: a multi-label classifier on image-level labels, its last layer read as masks.

Zhou et al., CVPR 2016, as weakly supervised segmentation uses it: global average pooling, a linear layer without
bias, ReLU, several scales and flips, each class divided by its maximum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from simformer.backbones import Backbone
from simformer.model import Targets

# A class whose strongest activation is below this is never active.
EPS_ACTIVATION = 1e-5


class CamConfig(BaseModel):
    """The classifier's sizes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_classes: int = Field(ge=1, le=255)
    backbone: str = "efficientnet_lite0"
    output_stride: Literal[16, 32] = 16
    dropout: float = Field(default=0.0, ge=0, lt=1, description="on the map, before pooling")


class CamNetwork(nn.Module):
    """Which classes does a photo show, and where does the network look?

    Args:
        config: sizes.
        pretrained: ImageNet weights for the backbone; False where a checkpoint follows.

    Raises:
        ConfigError: the backbone cannot be made.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: CamConfig, *, pretrained: bool = True):
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone, pretrained=pretrained, output_stride=config.output_stride)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Conv2d(self.backbone.head_channels, config.num_classes, 1, bias=False)
        self.register_buffer("mean", torch.tensor(self.backbone.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.backbone.std).view(3, 1, 1), persistent=False)

    def class_maps(self, images: Tensor) -> Tensor:
        """images: B x 3 x H x W, RGB 0..255 -> class evidence before any ReLU, B x K x h x w at the last stride."""
        _, features = self.backbone((images - self.mean) / self.std)
        return self.classifier(self.dropout(features))

    def forward(self, images: Tensor) -> Tensor:
        """images: B x 3 x H x W, RGB 0..255 -> logits B x K: the mean of the class maps."""
        return self.class_maps(images).mean((-2, -1))

    def activation_maps(
        self, images: Tensor, scales: Sequence[float] = (1.0,), flip: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Activation maps and class probabilities over several views of each image.

        Args:
            images: B x 3 x H x W, RGB 0..255.
            scales: multiples of H x W at which the network looks.
            flip: it looks at each scale mirrored as well.

        Returns:
            maps: B x K x ceil(H/4) x ceil(W/4), ReLU'd, summed over views, each class's maximum 1 (0 where it is never
            active). probabilities: B x K, mean over views of the sigmoid of the logits.
        """
        height, width = images.shape[-2:]
        size = (-(-height // 4), -(-width // 4))
        total, probabilities = images.new_zeros(()), []
        for scale in scales:
            view = images if scale == 1 else resize(images, (round(height * scale), round(width * scale)))
            for mirrored in (False, True) if flip else (False,):
                maps = self.class_maps(view.flip(-1) if mirrored else view)
                probabilities.append(maps.mean((-2, -1)).sigmoid())
                maps = maps.flip(-1) if mirrored else maps
                total = total + resize(maps.relu(), size)
        maximum = total.amax((-2, -1), keepdim=True)
        return total / maximum.clamp(min=EPS_ACTIVATION), torch.stack(probabilities).mean(0)


def multilabel_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Multi-label soft margin loss, mean over classes and images.

    Args:
        logits: B x K.
        targets: `novel` holds all image-level labels, for every class counts as novel; nothing else is read.
    """
    present = torch.zeros(logits.shape)
    for row, classes in zip(present, targets.novel, strict=True):
        row[classes] = 1
    return F.multilabel_soft_margin_loss(logits.float(), present.to(logits.device))


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """B x C x h x w -> B x C x `size`, bilinear; a side is at least a pixel."""
    return F.interpolate(maps, size=[max(1, side) for side in size], mode="bilinear", align_corners=False)
