"""What RETAB's two networks look at: three depths of the classifier's frozen backbone, side by side at stride 8."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simformer.backbones import Backbone
from simformer.cam import CamNetwork, resize


def depths(network: CamNetwork, images: Tensor) -> list[Tensor]:
    """Images, B x 3 x H x W, RGB 0..255 -> the backbone's maps at strides 8, 16 and its last stage's."""
    pyramid, _ = network.backbone((images - network.mean) / network.std)
    return pyramid[1:]


def depth_channels(backbone: Backbone) -> tuple[int, ...]:
    """Channels of the three maps."""
    return backbone.channels[1:]


class MergedDepths(nn.Module):
    """Each depth through a 1x1 convolution and ELU, all at stride 8.

    Args:
        channels: of the three maps.
        widths: of the three convolutions.

    Attributes:
        width: channels of the output.
    """

    def __init__(self, channels: tuple[int, ...], widths: tuple[int, ...]):
        super().__init__()
        pairs = zip(channels, widths, strict=True)
        self.projections = nn.ModuleList(nn.Conv2d(given, made, 1, bias=False) for given, made in pairs)
        self.width = sum(widths)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Three maps, B x C x h x w each -> B x `width` x h x w at the size of the first."""
        size = maps[0].shape[-2:]
        projected = [projection(one) for projection, one in zip(self.projections, maps, strict=True)]
        # A 1x1 convolution and bilinear resizing commute; in this order the larger maps are never made.
        return torch.cat([F.elu(one if one.shape[-2:] == size else resize(one, size)) for one in projected], 1)
