"""Attention with dropout that costs little on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = 1 << 16  # that 16 random bits tell apart


class Attention(nn.MultiheadAttention):
    """Multi-head attention over B x length x C; in training the weights are dropped by `dropout`.

    On a CPU that is written out: inside PyTorch's own, drawing the dropped weights takes longer than attending.
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__(width, heads, dropout, batch_first=True)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]  (masks and weights are not asked for here)
        self, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """query: B x N x C; key, value: B x M x C -> B x N x C."""
        if not self.training or query.device.type != "cpu":
            return super().forward(query, key, value, need_weights=False)[0]
        projections = zip((query, key, value), self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=True)
        query, key, value = (
            F.linear(x, weight, bias).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
            for x, weight, bias in projections
        )
        weights = (query * self.head_dim**-0.5 @ key.transpose(-2, -1)).softmax(-1)
        return self.out_proj((dropout(weights, self.dropout) @ value).transpose(1, 2).flatten(2))


class Dropout(nn.Dropout):
    """`nn.Dropout`, on a CPU by the function below."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        if not self.training or input.device.type != "cpu":
            return super().forward(input)
        return dropout(input, self.p)


def dropout(x: Tensor, p: float) -> Tensor:
    """x with each element dropped with probability p (to 1 / 65536), the others scaled so that the mean stays.

    PyTorch's draws 64 random bits an element, one element at a time; this draws as many for four.
    """
    kept = max(1, STEPS - round(p * STEPS))
    if kept == STEPS:
        return x
    # A 64-bit number from the whole range is four 16-bit ones.
    drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    keep = drawn.view(torch.int16)[: x.numel()].view(x.shape) < kept - STEPS // 2
    return keep.to(x.dtype).mul_(STEPS / kept) * x
