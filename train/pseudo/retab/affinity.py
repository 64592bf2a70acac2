"""RETAB's affinity network: do two cells nearby belong together? Learnt on base masks and confident novel cells.

Zhou, Niu, Si, Qian, Zhang, "Weak-shot Semantic Segmentation by Transferring Semantic Affinity and Boundary", BMVC 2022;
the network and its pairs are those of Ahn and Kwak, "Learning Pixel-level Semantic Affinity", CVPR 2018.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simformer.labels import VOID
from train.pseudo.retab.features import MergedDepths

# Pairs compared at a time: what is gathered for them stays within 30 MB.
CHUNK = 8192
EPSILON = 1e-5


class AffinityNet(nn.Module):
    """An embedding for each cell of 8 x 8 pixels. Arguments as of MergedDepths."""

    def __init__(self, channels: tuple[int, ...], widths: tuple[int, ...]):
        super().__init__()
        self.merge = MergedDepths(channels, widths)
        self.embedding = nn.Conv2d(self.merge.width, self.merge.width, 1, bias=False)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Three maps, 1 x C x h x w each -> one embedding a row, hw x `width`, at stride 8."""
        return F.elu(self.embedding(self.merge(maps)))[0].flatten(1).t().contiguous()


class Kinds(NamedTuple):
    """Numbers of the pairs (int64) of each kind that has a target."""

    same_base: Tensor
    same_novel: Tensor
    different: Tensor


def neighbors(height: int, width: int, radius: int) -> tuple[Tensor, Tensor]:
    """All pairs of cells less than `radius` apart, each once: flat indices (int64) of their first and second cells."""
    cells = torch.arange(height * width).view(height, width)
    firsts, seconds = [], []
    for down in range(radius):
        for right in range(-radius + 1, radius):
            if (down, right) <= (0, 0) or down**2 + right**2 >= radius**2:
                continue
            # Beyond the photo's height nothing is left; a width smaller than the step leaves nothing either.
            left, shift = max(0, -right), max(0, right)
            firsts.append(cells[: max(0, height - down), left : max(left, width - shift)].flatten())
            seconds.append(cells[down:, shift : max(shift, width - left)].flatten())
    return torch.cat(firsts), torch.cat(seconds)


def affinity(embeddings: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """exp(- mean absolute difference) of the embeddings (n x C) of pairs, in 0..1."""
    chunks = zip(first.split(CHUNK), second.split(CHUNK), strict=True)
    return torch.cat([(embeddings[a] - embeddings[b]).abs().mean(1) for a, b in chunks]).neg().exp()


def cell_labels(base_labels: Tensor, maps: Tensor, novel: list[int], boundary: Tensor, confident: float) -> Tensor:
    """What is known of each cell.

    Args:
        base_labels: class index of base cells, 255 elsewhere, h x w.
        maps: activation maps of the photo's N novel classes, 0..1, N x h x w.
        novel: their class indices.
        boundary: bool, h x w; outside base masks, nothing is known of a boundary.
        confident: activation above which a cell outside base masks is taken to be of its strongest novel class.

    Returns:
        int64, h x w: class index, or 255.
    """
    labels = base_labels.long()
    if not novel:
        return labels
    strength, strongest = maps.max(0)
    known = (labels == VOID) & ~boundary & (strength > confident)
    return torch.where(known, torch.tensor(novel, device=labels.device)[strongest], labels)


def pair_kinds(labels: Tensor, is_novel: Tensor, first: Tensor, second: Tensor) -> Kinds:
    """Sorts pairs of cells whose labels are both known.

    Args:
        labels: see cell_labels.
        is_novel: bool, 256 values, by class index.
        first, second: see neighbors.
    """
    a, b = labels.flatten()[first], labels.flatten()[second]
    known = (a != VOID) & (b != VOID)
    same, novel = known & (a == b), is_novel[a]
    return Kinds(*(pairs.nonzero().flatten() for pairs in (same & ~novel, same & novel, known & (a != b))))


def affinity_loss(embeddings: Tensor, kinds: Kinds, first: Tensor, second: Tensor) -> Tensor:
    """-log a of same pairs (a quarter for base, a quarter for novel), -log(1 - a) of different ones (half).

    Each is a mean over its pairs, and left out where there are none.
    """
    loss = embeddings.sum() * 0
    for pairs, weight in zip(kinds, (0.25, 0.25, 0.5), strict=True):
        if pairs.numel():
            a = affinity(embeddings, first[pairs], second[pairs])
            likely = 1 - a if pairs is kinds.different else a
            loss = loss - weight * (likely + EPSILON).log().mean()
    return loss
