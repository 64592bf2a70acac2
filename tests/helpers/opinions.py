"""Losses of pairs with an answer in SimNet's place, so that they can be worked out by hand."""

from __future__ import annotations

import math

import torch
from torch import nn

from simformer.similarity import PixelSimilarity

VOID = 255


def classes(*lists: list[int]) -> list[torch.Tensor]:
    return [torch.tensor(values, dtype=torch.int64) for values in lists]


def no_padding(labels: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(labels, dtype=torch.bool)


class Says(nn.Module):
    """In SimNet's place: "same" with this probability, whatever the pixels.

    With a second probability that is said where the first pixel's first channel is less than the second's.
    """

    def __init__(self, same: float, less: float | None = None):
        super().__init__()
        probabilities = torch.tensor([same, same if less is None else less])
        self.logits = nn.Parameter(torch.stack((1 - probabilities, probabilities), 1).log())

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.logits[(a[..., 0] < b[..., 0]).long()]


def opinionated(same: float, less: float | None = None, **options) -> PixelSimilarity:
    """Five points, and SimNet `Says`."""
    module = PixelSimilarity(32, **{"novel_classes": (1, 2), "distillation_weight": 1.0, "points": 5, **options})
    module.simnet = Says(same, less)
    return module


def cross_entropy(same: float) -> tuple[float, float]:
    """Of a pair that is of one class, and of one that is not, where "same" has this probability."""
    return -math.log(same), -math.log(1 - same)
