"""Pixel-pixel similarity transfer: SimNet, point sampling, similarity and distillation losses (paper, section 3.3).

SimNet learns on base classes whether two pixels of two images are of one class; what it says of pixels outside the
base masks teaches the novel class scores. Symbols: P pairs of images, J points per image, C embedding channels.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simformer.criterion import NEARLY_NONE, AcrossWorkers, alone
from simformer.palette import VOID

IN_REGION_SHARE = 0.8
COUNT_HISTORY = 25


class SimNet(nn.Module):
    """Do two per-pixel embeddings belong to one class? Three residual blocks of 1x1 convolutions.

    Args:
        channels: C.
        hidden: width of the blocks, 256 in the paper.
    """

    def __init__(self, channels: int, hidden: int = 256):
        super().__init__()
        first = SimBlock(2 * channels, hidden, projects_shortcut=True)
        self.blocks = nn.ModuleList([first, SimBlock(hidden, hidden), SimBlock(hidden, hidden)])
        self.head = nn.Linear(hidden, 2)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits (different, same), ... x 2, of embeddings a and b, ... x C, which broadcast against each other."""
        first, *rest = self.blocks
        x = first(*first.project_pair(a, b))
        for block in rest:
            x = block(block.inner(x), x)
        return self.head(x)


class SimBlock(nn.Module):
    """conv, BN, ReLU, conv, BN, ReLU, plus shortcut; a 1x1 convolution is a linear layer on the last axis."""

    def __init__(self, inputs: int, hidden: int, projects_shortcut: bool = False):
        super().__init__()
        self.inner = nn.Linear(inputs, hidden)
        self.outer = nn.Linear(hidden, hidden)
        self.inner_norm = nn.BatchNorm1d(hidden)
        self.outer_norm = nn.BatchNorm1d(hidden)
        self.shortcut = nn.Linear(inputs, hidden) if projects_shortcut else None

    def forward(self, inner: Tensor, shortcut: Tensor) -> Tensor:
        """inner: ... x hidden, after the first convolution; shortcut: what is added at the end."""
        x = normalize(self.inner_norm, inner).relu()
        return normalize(self.outer_norm, self.outer(x)).relu() + shortcut

    def project_pair(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """First convolution and shortcut of the concatenation (a, b), without making it: W(a, b) = Wa a + Wb b."""

        def project(layer: nn.Linear) -> Tensor:
            left, right = layer.weight.chunk(2, dim=1)
            return F.linear(a, left, layer.bias) + F.linear(b, right)

        return project(self.inner), project(self.shortcut).relu()


def normalize(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    return norm(x.flatten(0, -2)).view_as(x)


class PixelSimilarity(nn.Module):
    """Both losses of the pairs in a batch; holds SimNet, which inference does not need.

    Args:
        channels: C. points: J. hidden: SimNet's width.
        distillation_weight: 0.1 on COCO-Stuff-10K, 0.5 on ADE20K. distillation: `cce` (paper) or `ce`.
    """

    def __init__(
        self,
        channels: int,
        *,
        distillation_weight: float,
        points: int = 100,
        hidden: int = 256,
        distillation: Literal["ce", "cce"] = "cce",
    ):
        super().__init__()
        self.simnet = SimNet(channels, hidden)
        self.distillation_weight = distillation_weight
        self.points = points
        self.distillation = distillation
        # (different, same) pairs of points in the last batches: the classes' weights.
        self.register_buffer("counts", torch.zeros(COUNT_HISTORY, 2))

    def forward(
        self,
        class_logits: Tensor,
        mask_logits: Tensor,
        embeddings: Tensor,
        base_labels: Tensor,
        padding: Tensor,
        base: list[Tensor],
        novel: list[Tensor],
        novel_classes: Tensor,
        across_workers: AcrossWorkers = alone,
    ) -> dict[str, Tensor]:
        """Weighted losses `similarity` and `distillation` of P pairs; images i and P + i are a pair.

        Args:
            class_logits: 2P x N x (K + 1); mask_logits: 2P x N x h x w; embeddings: 2P x C x h x w.
            base_labels, padding: 2P x H x W (resized to h x w by nearest). base, novel: classes per image (CPU).
            novel_classes: all novel classes of the split, int64.
            across_workers: mean of counts over processes; called equally often by each.
        """
        labels, padding = shrink_labels(base_labels, padding, embeddings.shape[-2:])
        inside = ~padding
        similarity = self.similarity_loss(embeddings.detach(), labels, inside, base, across_workers)
        distillation = self.distillation_loss(
            class_logits,
            mask_logits,
            embeddings.detach(),
            (labels == VOID) & inside,
            novel,
            novel_classes,
            across_workers,
        )
        return {"similarity": similarity, "distillation": self.distillation_weight * distillation}

    def similarity_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        inside: Tensor,
        base: list[Tensor],
        across_workers: AcrossWorkers,
    ) -> Tensor:
        """Class-balanced cross entropy of SimNet on pairs of points of which at least one is of a base class."""
        regions = (labels != VOID) & inside
        focus = torch.tensor(shared_base_class(base), device=labels.device).repeat(2)[:, None, None]
        regions = torch.where(focus >= 0, labels == focus, regions)
        in_region = round(self.points * IN_REGION_SHARE)
        points = torch.cat(
            (
                sample_points(regions, inside, in_region),
                sample_points(~regions & inside, inside, self.points - in_region),
            ),
            dim=1,
        )
        sampled, classes = gather(embeddings, points), labels.flatten(1).gather(1, points)
        (a, b), (class_a, class_b) = sampled.chunk(2), classes.chunk(2)
        same = class_a[:, :, None] == class_b[:, None]
        counted = (class_a[:, :, None] != VOID) | (class_b[:, None] != VOID)
        pairs = across_workers(torch.stack(((~same & counted).sum(), (same & counted).sum())).float())
        weights = self.balance(pairs)
        logits = self.simnet(a[:, :, None], b[:, None])
        entropy = F.cross_entropy(logits.flatten(0, -2), same.long().flatten(), weights, reduction="none")
        return (entropy * counted.flatten()).sum() / pairs.sum().clamp(min=1)

    def balance(self, pairs: Tensor) -> Tensor:
        """Records this batch's (different, same) pairs; weights: each of the two has the other's recent share."""
        self.counts.copy_(torch.cat((self.counts[1:], pairs[None])))
        recent = self.counts.sum(0)
        return recent.flip(0) / recent.sum().clamp(min=1)

    def distillation_loss(
        self,
        class_logits: Tensor,
        mask_logits: Tensor,
        embeddings: Tensor,
        region: Tensor,
        novel: list[Tensor],
        novel_classes: Tensor,
        across_workers: AcrossWorkers,
    ) -> Tensor:
        """Novel class scores of two pixels must agree as much as SimNet says.

        Mean over the pairs that share a novel class and have pixels in the region (2P x h x w, no base class).
        """
        half = len(novel) // 2
        shares = [bool(set(a.tolist()) & set(b.tolist())) for a, b in zip(novel[:half], novel[half:], strict=True)]
        seen = region.flatten(1).any(1)
        usable = torch.tensor(shares, device=region.device) & seen[:half] & seen[half:]
        count = across_workers(usable.sum()[None].float())
        pairs = [i for i, yes in enumerate(shares) if yes]
        if not pairs:
            return mask_logits.sum() * 0
        chosen = torch.tensor(pairs + [i + half for i in pairs], device=region.device)
        points = sample_points(region[chosen], region[chosen], self.points)
        teacher = self.teacher(*gather(embeddings, points, chosen).chunk(2))
        scores = class_logits[chosen].softmax(-1)[..., novel_classes]
        masks = gather(mask_logits, points, chosen).sigmoid()
        student = F.normalize(masks @ scores, dim=-1)  # 2P' x J x novel classes
        a, b = student.chunk(2)
        similarity = (a @ b.transpose(1, 2)).relu()
        losses = distillation_losses(similarity, teacher, self.distillation).mean((1, 2))
        return (losses * usable[chosen[: len(pairs)]]).sum() / count[0].clamp(min=NEARLY_NONE)

    @torch.no_grad()
    def teacher(self, a: Tensor, b: Tensor) -> Tensor:
        """SimNet's probability of "same class" for all pairs of P x J x C points, P x J x J.

        With running statistics, so that a pair's answer does not depend on the others; the released code takes those
        of the batch here too.
        """
        training = self.simnet.training
        self.simnet.eval()
        same = self.simnet(a[:, :, None], b[:, None]).softmax(-1)[..., 1]
        self.simnet.train(training)
        return same


def distillation_losses(student: Tensor, teacher: Tensor, kind: Literal["ce", "cce"]) -> Tensor:
    """`ce`: cross entropy, both clamped to [0.01, 0.99]; `cce` (the paper's): only as far as the teacher is sure."""
    if kind == "ce":
        return F.binary_cross_entropy(student.clamp(0.01, 0.99), teacher.clamp(0.01, 0.99), reduction="none")
    return -(teacher - 0.5).relu() * (1 + student).log() - (0.5 - teacher).relu() * (2 - student).log()


def shrink_labels(
    base_labels: Tensor, padding: Tensor, size: torch.Size, centers: bool = False
) -> tuple[Tensor, Tensor]:
    """Label maps (int64) and padding (bool), B x H x W -> B x h x w.

    Args:
        centers: take each value from the middle of its cell; otherwise from the upper left corner, as the released
            code does where it shrinks label maps.
    """
    both = torch.stack((base_labels, padding.long()), 1).float()
    mode = "nearest-exact" if centers else "nearest"
    labels, padding = F.interpolate(both, size=size, mode=mode).long().unbind(1)
    return labels, padding.bool()


def shared_base_class(base: list[Tensor]) -> list[int]:
    """For each pair (i, P + i) one of the base classes both images hold, at random; -1 if they share none."""
    half = len(base) // 2
    chosen = []
    for a, b in zip(base[:half], base[half:], strict=True):
        shared = sorted(set(a.tolist()) & set(b.tolist()))
        chosen.append(shared[int(torch.randint(len(shared), ()))] if shared else -1)
    return chosen


def sample_points(region: Tensor, fallback: Tensor, count: int) -> Tensor:
    """`count` flat pixel indices per image, uniform in `region` (B x h x w bool), in `fallback` where it is empty.

    With replacement: a region may hold fewer pixels than points.
    """
    region, fallback = region.flatten(1), fallback.flatten(1)
    weights = torch.where(region.any(1, keepdim=True), region, fallback).float()
    # An image of nothing but padding has no better point than any.
    weights = torch.where(weights.any(1, keepdim=True), weights, torch.ones_like(weights))
    return torch.multinomial(weights, count, replacement=True)


def gather(maps: Tensor, points: Tensor, images: Tensor | None = None) -> Tensor:
    """Values of B x C x h x w maps at flat indices, B' x J (int64), of all or of B' chosen images -> B' x J x C."""
    if images is None:
        images = torch.arange(len(maps), device=maps.device)
    return maps.flatten(2)[images[:, None], :, points]
