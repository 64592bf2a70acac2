"""RETAB's boundary network: where does one class end and another begin? Learnt on base masks, asked everywhere.

Zhou, Niu, Si, Qian, Zhang, "Weak-shot Semantic Segmentation by Transferring Semantic Affinity and Boundary", BMVC 2022.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simformer.cam import resize
from simformer.labels import VOID
from train.pseudo.retab.features import MergedDepths


class BoundaryNet(nn.Module):
    """One logit for each cell of 8 x 8 pixels. Arguments as of MergedDepths."""

    def __init__(self, channels: tuple[int, ...], widths: tuple[int, ...]):
        super().__init__()
        self.merge = MergedDepths(channels, widths)
        self.boundary = nn.Conv2d(self.merge.width, 1, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Three maps, 1 x C x h x w each -> logits h x w at stride 8."""
        return self.boundary(self.merge(maps))[0, 0]


def boundary_target(base_labels: Tensor, radius: int) -> Tensor:
    """Where base masks show a boundary, and where they show none.

    Args:
        base_labels: class index of base pixels, 255 elsewhere, H x W.
        radius: pixels; a boundary is a base pixel with another base class at most so far away in either direction.

    Returns:
        uint8, H x W: 1 on boundaries; 255 outside base masks and as near to their other borders, beyond which may be
        anything; else 0.
    """
    labelled = base_labels != VOID
    classes = base_labels[labelled].unique()
    regions = torch.cat([base_labels[None] == classes[:, None, None], ~labelled[None]])
    near = F.max_pool2d(regions[None].float(), 2 * radius + 1, stride=1, padding=radius)[0] > 0
    boundary = labelled & (near[:-1].sum(0) > 1)
    target = torch.where(near[-1] | ~labelled, VOID, 0)
    return torch.where(boundary, 1, target).to(torch.uint8)


def boundary_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy, mean over boundaries plus mean over the rest; a mean over nothing is left out.

    Args:
        logits: h x w, resized bilinearly to the target.
        target: see boundary_target, H x W.
    """
    enlarged = resize(logits[None, None], tuple(target.shape))[0, 0]
    loss = enlarged.sum() * 0
    for value in (0, 1):
        chosen = enlarged[target == value]
        if chosen.numel():
            loss = loss + F.binary_cross_entropy_with_logits(chosen, torch.full_like(chosen, value))
    return loss
