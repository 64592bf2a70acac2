"""The losses of weak-shot training, put together over decoder layers (paper, sections 3.2 and 3.4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simformer.labels import VOID
from simformer.matching import DICE_COST, FOCAL_ALPHA, FOCAL_COST, FOCAL_GAMMA, Match, match
from simformer.model import Output, Targets

NO_OBJECT_WEIGHT = 0.1
SILENT_LOGIT = -2.9444  # sigmoid 0.05: what the complementary mask holds where no novel query speaks

# Mean of a vector of counts over processes. What a loss is divided by is averaged so; then the mean of the processes'
# gradients is the gradient of their batches taken as one.
AcrossWorkers = Callable[[Tensor], Tensor]
EPS_COUNT = 1e-3  # smallest divisor: below any mean over processes other than 0


def no_reduce(counts: Tensor) -> Tensor:
    """The mean over one process."""
    return counts


class Criterion(nn.Module):
    """Classification, mask and complementary losses of every decoder layer.

    Args:
        num_classes: K.
        complementary_weight: 0.15 on COCO-Stuff-10K, 0.2 on ADE20K; 0 switches the loss off.
    """

    class_weights: Tensor

    def __init__(self, num_classes: int, complementary_weight: float):
        super().__init__()
        self.complementary_weight = complementary_weight
        class_weights = torch.ones(num_classes + 1)
        class_weights[-1] = NO_OBJECT_WEIGHT
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, output: Output, targets: Targets, across_workers: AcrossWorkers = no_reduce) -> dict[str, Tensor]:
        """Weighted losses, summed over layers: keys classification, focal, dice, complementary.

        Args:
            output, targets: of B images, masks at any two sizes.
            across_workers: mean of counts over processes.
        """
        layers = [*output.auxiliary, (output.class_logits, output.mask_logits)]
        matches = match(layers, targets)
        # As many queries are matched in every layer.
        matched = sum(len(queries) for queries, _ in matches[0])
        unmatched = output.class_logits.shape[:2].numel() - matched
        counts = (
            sum(map(len, targets.base)),
            matched + NO_OBJECT_WEIGHT * unmatched,
            sum(len(classes) > 0 for classes in targets.novel),
        )
        masks, weight, images = across_workers(torch.tensor(counts, dtype=torch.float32, device=targets.labels.device))
        masks = masks.clamp(min=1)
        total: dict[str, Tensor] = {}
        for (class_logits, mask_logits), layer_matches in zip(layers, matches, strict=True):
            focal, dice = mask_losses(mask_logits, layer_matches, targets)
            losses = {
                "classification": self.classification_loss(class_logits, layer_matches, targets) / weight,
                "focal": FOCAL_COST * focal / masks,
                "dice": DICE_COST * dice / masks,
            }
            if self.complementary_weight:
                loss = complementary_loss(mask_logits, layer_matches, targets)
                losses["complementary"] = self.complementary_weight * loss / images.clamp(min=EPS_COUNT)
            total = {name: total.get(name, 0) + loss for name, loss in losses.items()}
        return total

    def classification_loss(self, class_logits: Tensor, matches: list[Match], targets: Targets) -> Tensor:
        """Cross entropy, sum over all B x N queries; unmatched ones are "no object", weighted 0.1."""
        images, queries = as_indices(matches)
        of_images = zip(targets.base, targets.novel, matches, strict=True)
        target = torch.full(class_logits.shape[:2], class_logits.shape[-1] - 1)
        target[images, queries] = torch.cat(
            [torch.cat((base, novel))[chosen] for base, novel, (_, chosen) in of_images]
        )
        target = target.flatten().to(class_logits.device)
        return F.cross_entropy(class_logits.float().flatten(0, 1), target, self.class_weights, reduction="sum")


def mask_losses(mask_logits: Tensor, matches: list[Match], targets: Targets) -> tuple[Tensor, Tensor]:
    """Focal and dice loss, sums over the queries matched to base classes.

    Logits are upsampled bilinearly to the label map's size.
    """
    chosen = [target < len(b) for (_, target), b in zip(matches, targets.base, strict=True)]
    images, queries = as_indices([(q[c], t[c]) for (q, t), c in zip(matches, chosen, strict=True)])
    if len(images) == 0:
        nothing = mask_logits.sum() * 0
        return nothing, nothing
    classes = torch.cat([b[t[c]] for (_, t), b, c in zip(matches, targets.base, chosen, strict=True)])
    device = mask_logits.device
    images, queries, classes = torch.stack((images, queries, classes)).to(device, non_blocking=True)
    logits = upsample(mask_logits[images, queries], targets.labels.shape[-2:])
    masks = (targets.labels[images] == classes[:, None, None]).float()
    return focal_loss(logits, masks).sum(), dice_loss(logits, masks).sum()


def complementary_loss(mask_logits: Tensor, matches: list[Match], targets: Targets) -> Tensor:
    """Novel queries together must cover what no base mask covers: 20 x focal + dice, sum over images.

    The prediction is the element-wise maximum of the mask logits of the queries matched to novel classes and of a
    constant; the target is the complement of the union of base masks, 0 in the padding.
    """
    novel = [(q[t >= len(b)], t[t >= len(b)]) for (q, t), b in zip(matches, targets.base, strict=True)]
    images = [image for image, (queries, _) in enumerate(novel) if len(queries)]
    if not images:
        return mask_logits.sum() * 0
    logits = upsample(mask_logits[as_indices(novel)], targets.labels.shape[-2:])
    by_image = logits.split([len(novel[image][0]) for image in images])
    together = torch.stack([each.amax(0) for each in by_image]).clamp(min=SILENT_LOGIT)
    rest = ((targets.labels == VOID) & ~targets.padding)[images].float()
    return (FOCAL_COST * focal_loss(together, rest) + DICE_COST * dice_loss(together, rest)).sum()


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Sigmoid focal loss (alpha 0.25, gamma 2), mean over pixels: M x H x W -> M."""
    p = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_right = p * targets + (1 - p) * (1 - targets)
    alpha = FOCAL_ALPHA * targets + (1 - FOCAL_ALPHA) * (1 - targets)
    return (alpha * (1 - p_right) ** FOCAL_GAMMA * entropy).flatten(1).mean(1)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - (2 overlap + 1) / (areas + 1): M x H x W -> M."""
    p, targets = logits.sigmoid().flatten(1), targets.flatten(1)
    return 1 - (2 * (p * targets).sum(1) + 1) / (p.sum(1) + targets.sum(1) + 1)


def upsample(logits: Tensor, size: torch.Size) -> Tensor:
    """M x h x w -> M x H x W float32, bilinear."""
    if logits.shape[-2:] == size:
        return logits.float()
    return F.interpolate(logits[:, None].float(), size=size, mode="bilinear", align_corners=False)[:, 0]


def as_indices(matches: list[Match]) -> tuple[Tensor, Tensor]:
    """Per-image matches -> (image index, query index) of all of them, each M."""
    images = torch.cat([torch.full_like(queries, image) for image, (queries, _) in enumerate(matches)])
    return images, torch.cat([queries for queries, _ in matches])
