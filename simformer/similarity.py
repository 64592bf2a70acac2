"""Pixel-pixel similarity transfer: SimNet, point sampling, similarity and distillation losses (paper, section 3.3).

SimNet learns on base classes whether two pixels of two images are of one class; what it says of pixels outside the
base masks teaches the novel class scores. Symbols: P pairs of images, J points per image, C embedding channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import ceil
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simformer.criterion import AcrossWorkers, no_reduce
from simformer.labels import VOID
from simformer.model import Output, Targets

IN_REGION_SHARE = 0.8
COUNT_HISTORY = 25  # image pairs

Statistics = Literal["running", "batch"]
Student = Literal["across", "within"]
Distillation = Literal["ce", "cce"]


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
        first, *rest = cast(list[SimBlock], list(self.blocks))
        x = first(*first.project_pair(a, b))
        for block in rest:
            x = block(F.linear(x, *folded(block.inner, block.inner_norm)), x)
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
        """inner: ... x hidden, after the first convolution (overwritten); shortcut: what is added at the end."""
        x = normalized_relu(self.inner_norm, inner)
        x = F.linear(x, *folded(self.outer, self.outer_norm))
        return normalized_relu(self.outer_norm, x) + shortcut

    def project_pair(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """First convolution and shortcut of the concatenation (a, b), without making it: W(a, b) = Wa a + Wb b."""

        def project(weight: Tensor, bias: Tensor) -> Tensor:
            left, right = weight.chunk(2, dim=1)
            return F.linear(a, left, bias) + F.linear(b, right)

        assert self.shortcut is not None  # of the first block alone
        inner = project(*folded(self.inner, self.inner_norm))
        return inner, project(self.shortcut.weight, self.shortcut.bias).relu_()


def folded(layer: nn.Linear, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer, together with the batch norm behind it where that is linear: outside of training."""
    if norm.training:
        return layer.weight, layer.bias
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return layer.weight * scale[:, None], (layer.bias - norm.running_mean) * scale + norm.bias


def normalized_relu(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """ReLU of the batch norm of what a layer gave, ... x hidden; the norm counts where it is not `folded`."""
    return norm(x.flatten(0, -2)).relu_().view_as(x) if norm.training else x.relu_()


class PixelSimilarity(nn.Module):
    """Both losses of the pairs in a batch; holds SimNet, which inference does not need.

    SimNet sees one image pair at a time, in both orders: a batch of its batch norm is 2 x J x J pairs of points.

    Args:
        channels: C. points: J. hidden: SimNet's width.
        novel_classes: indices of all novel classes of the split, in the order of a teacher's maps; of all classes where
            some photos are unmasked.
        distillation_weight: 0.1 on COCO-Stuff-10K, 0.5 on ADE20K; 0 switches the loss off.
        distillation: `cce` (paper) or `ce`.
        simnet: without it there is no similarity loss, and the teacher is what a batch holds (beyond the paper).
        statistics: of SimNet's batch norm when it is asked as teacher: the running ones, so that an answer does not
            depend on the other points, or those of the image pair ("batch"), as in the released code.
        student: whose pixels the student compares: the input's with the reference's ("across"), as the paper says and
            as the teacher does, or those of one image ("within"), as in the released code.
        padding: whether SimNet is also asked about points in the padding, as in the released code.
        pairs: image pairs in a whole batch, over all processes.
    """

    novel_classes: Tensor
    counts: Tensor

    def __init__(
        self,
        channels: int,
        *,
        novel_classes: Sequence[int],
        distillation_weight: float,
        points: int = 100,
        hidden: int = 256,
        distillation: Distillation = "cce",
        simnet: bool = True,
        statistics: Statistics = "running",
        student: Student = "across",
        padding: bool = False,
        pairs: int = 1,
    ):
        super().__init__()
        self.simnet = SimNet(channels, hidden) if simnet else None
        self.distillation_weight = distillation_weight
        self.points = points
        self.distillation: Distillation = distillation
        self.statistics: Statistics = statistics
        self.student = student
        self.padding = padding
        # The last batches that are counted, as many as hold 25 image pairs.
        self.recent = ceil(COUNT_HISTORY / pairs)
        self.register_buffer("novel_classes", torch.tensor(novel_classes, dtype=torch.int64), persistent=False)
        # (different, same) pairs of points in the last batches, the latest at the end: the classes' weights.
        self.register_buffer("counts", torch.zeros(COUNT_HISTORY, 2))

    def forward(self, output: Output, targets: Targets, across_workers: AcrossWorkers = no_reduce) -> dict[str, Tensor]:
        """Weighted losses `similarity` and `distillation` of P pairs; images i and P + i are a pair.

        Both are means over pairs, so that the mean over processes with as many pairs each is that of the whole batch.

        Args:
            output: of 2P images; its predictions are at the embeddings' size.
            targets: of the same; labels and padding are resized to that size by nearest. A teacher's maps, of any size,
                stand in SimNet's place.
            across_workers: mean of counts over processes; called equally often by each.
        """
        size = output.pixel_embeddings.shape[-2:]
        labels, padding = shrink_labels(targets.labels, targets.padding, size)
        targets = replace(targets, labels=labels, padding=padding)
        region = labels == VOID
        asked = output.pixel_embeddings.detach().float()
        losses = {}
        if self.simnet is not None:
            losses["similarity"] = self.similarity_loss(asked, targets, across_workers)
            if not self.padding:
                region &= ~padding
        else:
            if targets.teacher is None:
                raise ValueError("without SimNet the targets must hold a teacher's probabilities")
            asked = resize(targets.teacher, size)
            region &= ~padding & (asked.sum(1) > 0.5)  # where it sees one of them rather than none
        if self.distillation_weight:
            loss = self.distillation_loss(output, targets, asked, region)
            losses["distillation"] = self.distillation_weight * loss
        return losses

    def similarity_loss(self, embeddings: Tensor, targets: Targets, across_workers: AcrossWorkers) -> Tensor:
        """Class-balanced cross entropy of SimNet on pairs of points of which at least one is of a base class.

        Pairs with an unmasked photo say nothing: its pixels may be of any of its classes, base ones among them.
        Mean over image pairs of the mean over each one's pairs of points, in both orders.
        embeddings: 2P x C x h x w, and targets of this size.
        """
        labels, inside = targets.labels, ~targets.padding
        regions = (labels != VOID) & inside
        focus = torch.tensor(shared_base_class(targets.base), device=labels.device).repeat(2)[:, None, None]
        regions = torch.where(focus >= 0, labels == focus, regions)
        in_region = round(self.points * IN_REGION_SHARE)
        points = torch.cat(
            (
                sample_points(regions, inside, in_region),
                sample_points(~regions & inside, inside, self.points - in_region),
            ),
            dim=1,
        )
        classes = by_pair(labels.flatten(1).gather(1, points))
        own, other = classes[..., None], classes.flip(1)[..., None, :]
        same, counted = own == other, (own != VOID) | (other != VOID)  # P x 2 x J x J
        if targets.unmasked is not None:
            counted &= ~by_pair(targets.unmasked).any(1)[:, None, None, None]
        pairs = torch.stack(((~same & counted)[:, 0].sum(), (same & counted)[:, 0].sum())).float()
        weights = self.balance(across_workers(pairs))
        losses = []
        assert self.simnet is not None  # it is what learns here
        for pair, of_one_class, counts in zip(by_pair(gather(embeddings, points)), same, counted, strict=True):
            logits = self.simnet(*both_orders(pair))
            entropy = F.cross_entropy(logits.flatten(0, -2), of_one_class.flatten().long(), weights, reduction="none")
            losses.append((entropy * counts.flatten()).sum() / counts.sum().clamp(min=1))
        return torch.stack(losses).mean()

    def balance(self, pairs: Tensor) -> Tensor:
        """Records this batch's (different, same) pairs; weights: each of the two has the other's recent share.

        Recent are the last 25 image pairs, rounded up to whole batches: within a batch the order of image pairs, and
        which process has which, changes nothing.
        """
        self.counts.copy_(torch.cat((self.counts[1:], pairs[None])))
        recent = self.counts[-self.recent :].sum(0)
        return recent.flip(0) / recent.sum().clamp(min=1)

    def distillation_loss(self, output: Output, targets: Targets, asked: Tensor, region: Tensor) -> Tensor:
        """Novel class scores of two pixels must agree as much as the teacher says.

        Mean over all P pairs; 0 of those that share no novel class or have no pixels in the region.

        Args:
            asked: what the teacher is asked about: SimNet's input, or probabilities of novel classes, 2P x ... x h x w.
            region: where, bool, 2P x h x w.
        """
        novel = targets.novel
        half = len(novel) // 2
        shares = [bool(set(a.tolist()) & set(b.tolist())) for a, b in zip(novel[:half], novel[half:], strict=True)]
        pairs = [i for i, yes in enumerate(shares) if yes]
        if not pairs:
            return output.mask_logits.float().sum() * 0
        chosen = torch.tensor(pairs + [i + half for i in pairs], device=region.device)
        region = region[chosen]
        points = sample_points(region, region, self.points)
        pairs_asked = gather(asked, points, chosen).chunk(2)
        masks = gather(output.mask_logits.float(), points, chosen)
        scores = class_scores(output.class_logits[chosen].float(), masks, self.novel_classes)
        if self.student == "across":
            losses = distillation_losses(cosine(*scores.chunk(2)), self.teacher(*pairs_asked), self.distillation)
        else:
            losses = distillation_losses(
                cosine(scores, scores), torch.cat(self.answers(*pairs_asked)), self.distillation
            )
        usable = region.flatten(1).any(1).view(2, -1).all(0)
        return (losses.unflatten(0, (-1, len(pairs))).mean((0, 2, 3)) * usable).sum() / half

    def teacher(self, a: Tensor, b: Tensor) -> Tensor:
        """The probability of "same class" for all pairs of P x J x C points, P x J x J: the mean of both orders."""
        ab, ba = self.answers(a, b)
        return (ab + ba.transpose(1, 2)) / 2

    @torch.no_grad()
    def answers(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """What the teacher says of P x J x C points in the orders (a, b) and (b, a), P x J x J each."""
        if self.simnet is None:
            alike = cosine(a, b)
            return alike, alike.transpose(1, 2)
        with asking(self.simnet, self.statistics):
            logits = [self.simnet(*both_orders(pair)) for pair in torch.stack((a, b), 1)]
        ab, ba = torch.stack(logits, 1).softmax(-1)[..., 1]
        return ab, ba


def by_pair(images: Tensor) -> Tensor:
    """2P x ... -> P x 2 x ...: images i and P + i side by side."""
    return images.unflatten(0, (2, -1)).transpose(0, 1)


def both_orders(pair: Tensor) -> tuple[Tensor, Tensor]:
    """SimNet's arguments for all pairs of points of two images (2 x J x C), in both orders; it gives 2 x J x J x 2."""
    return pair[:, :, None], pair.flip(0)[:, None]


@contextmanager
def asking(simnet: nn.Module, statistics: Statistics) -> Iterator[None]:
    """SimNet normalizes by these statistics and does not learn from what it is asked, nor do its running ones."""
    training = simnet.training
    norms = [module for module in simnet.modules() if isinstance(module, nn.BatchNorm1d)]
    simnet.train(statistics == "batch")
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        simnet.train(training)
        for norm in norms:
            norm.track_running_stats = True


def class_scores(class_logits: Tensor, mask_logits: Tensor, classes: Tensor) -> Tensor:
    """Scores of chosen classes at sampled pixels: softmax class score x sigmoid mask, summed over queries.

    Args:
        class_logits: P x N x (K + 1). mask_logits: P x J x N, of each query at each pixel. classes: indices.

    Returns:
        P x J x (number of classes).
    """
    return mask_logits.sigmoid() @ class_logits.softmax(-1)[..., classes]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarity of all pairs of P x J x C vectors, 0 where it is negative: P x J x J."""
    return (F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).transpose(1, 2)).relu()


def resize(maps: Tensor, size: torch.Size) -> Tensor:
    """B x C x h x w -> the embeddings' size, which differs where crops are no whole strides."""
    return maps if maps.shape[-2:] == size else F.interpolate(maps, size, mode="bilinear", align_corners=False)


def distillation_losses(student: Tensor, teacher: Tensor, kind: Distillation) -> Tensor:
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

    No pixel comes twice; only where there are fewer pixels than points they are drawn with replacement.
    """
    region, fallback = region.flatten(1), fallback.flatten(1)
    weights = torch.where(region.any(1, keepdim=True), region, fallback).float()
    # An image of nothing but padding has no better point than any.
    weights = torch.where(weights.any(1, keepdim=True), weights, torch.ones_like(weights))
    repeated = torch.multinomial(weights, count, replacement=True)
    if weights.shape[1] < count:
        return repeated
    enough = weights.sum(1, keepdim=True) >= count
    return torch.where(enough, torch.multinomial(weights, count), repeated)


def gather(maps: Tensor, points: Tensor, images: Tensor | None = None) -> Tensor:
    """Values of B x C x h x w maps at flat indices, B' x J (int64), of all or of B' chosen images -> B' x J x C."""
    if images is None:
        images = torch.arange(len(maps), device=maps.device)
    return maps.flatten(2)[images[:, None], :, points]
