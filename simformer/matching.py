"""Weak-shot bipartite matching: base classes by label and mask, novel classes by label alone (paper, section 3.2).

This is the proposal-pixel similarity transfer: queries learn what a mask is from base classes, and a novel class
takes over the query that claims its label.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from simformer.errors import SimFormerError
from simformer.model import Targets

FOCAL_COST, DICE_COST = 20.0, 1.0
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0

# (indices of queries, indices into the image's targets: base classes first, then novel), both int64 on the CPU
Match = tuple[Tensor, Tensor]


@torch.no_grad()
def match(layers: list[tuple[Tensor, Tensor]], targets: Targets) -> list[list[Match]]:
    """The cheapest assignment of queries to each image's classes, for every decoder layer.

    Args:
        layers: (class logits B x N x (K + 1), mask logits B x N x h x w) of each layer.
        targets: of B images; labels are resized to h x w by nearest.

    Returns:
        For each layer, for each image, a `Match`. All layers cross to the CPU in one transfer.

    Raises:
        SimFormerError: predictions are not finite, the training has diverged.
    """
    wanted = [torch.cat(pair) for pair in zip(targets.base, targets.novel, strict=True)]  # base classes come first
    most = max(map(len, wanted), default=0)
    if most == 0:
        nothing = torch.empty(0, dtype=torch.int64)
        return [[(nothing, nothing) for _ in wanted] for _ in layers]
    device = targets.labels.device
    classes = torch.stack([F.pad(t, (0, most - len(t))) for t in wanted]).to(device)
    is_base = torch.stack([torch.arange(most) < len(b) for b in targets.base]).to(device)
    costs = torch.stack([cost_matrix(*layer, targets.labels, classes, is_base) for layer in layers]).cpu().numpy()
    if not np.isfinite(costs).all():
        raise SimFormerError("the predictions are no longer numbers: lower the learning rate, or train without bf16")
    return [[assign(cost[:, : len(t)]) for cost, t in zip(layer_costs, wanted, strict=True)] for layer_costs in costs]


def cost_matrix(class_logits: Tensor, mask_logits: Tensor, labels: Tensor, classes: Tensor, is_base: Tensor) -> Tensor:
    """Matching cost B x N x T: -p(class), for base classes + 20 x focal + 1 x dice.

    Args:
        labels: B x H x W as of `Targets`.
        classes: B x T int64 target classes; is_base: B x T bool, False also for the padding of short lists.
    """
    size = mask_logits.shape[-2:]
    small = F.interpolate(labels[:, None].float(), size=size, mode="nearest").long().flatten(1)
    masks = ((small[:, None] == classes[:, :, None]) & is_base[:, :, None]).float()
    logits = mask_logits.float().flatten(2)
    p = class_logits.float().softmax(-1)
    class_cost = -p.gather(2, classes[:, None].expand(-1, p.shape[1], -1))
    p_mask = logits.sigmoid()
    mask_cost = FOCAL_COST * pairwise_focal(logits, p_mask, masks) + DICE_COST * pairwise_dice(p_mask, masks)
    return class_cost + torch.where(is_base[:, None], mask_cost, 0.0)


def pairwise_focal(logits: Tensor, p: Tensor, masks: Tensor) -> Tensor:
    """Sigmoid focal loss of every query with every mask, mean over pixels: B x N x P, B x T x P -> B x N x T.

    p: the logits' sigmoid.
    """
    surprise = F.softplus(logits)  # softplus(x) = -log(1 - p), softplus(x) - x = -log(p)
    # In place: what these steps take is mostly memory.
    if_outside = p.pow(FOCAL_GAMMA).mul_(surprise)
    if_inside = (1 - p).pow_(FOCAL_GAMMA).mul_(surprise.sub_(logits))
    # Every pixel is outside, but for the mask's, which are inside instead.
    outside = (1 - FOCAL_ALPHA) * if_outside.sum(-1, keepdim=True)
    instead = if_inside.mul_(FOCAL_ALPHA).sub_(if_outside, alpha=1 - FOCAL_ALPHA) @ masks.transpose(1, 2)
    return (outside + instead) / logits.shape[-1]


def pairwise_dice(p: Tensor, masks: Tensor) -> Tensor:
    """Dice loss of every query with every mask, +1 above and below: B x N x P, B x T x P -> B x N x T.

    p: the sigmoid of mask logits.
    """
    overlap = p @ masks.transpose(1, 2)
    return 1 - (2 * overlap + 1) / (p.sum(-1)[:, :, None] + masks.sum(-1)[:, None] + 1)


def assign(cost) -> Match:
    """Hungarian assignment of an N x T numpy cost matrix; queries ascending."""
    queries, targets = linear_sum_assignment(cost)
    return torch.as_tensor(queries), torch.as_tensor(targets)
