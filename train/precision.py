"""What `precision: bf16` means on which machine.

A GPU gets autocast. A CPU's normalizations and convolutions of single channels are slower in bf16 than in float32, in
the backward pass above all, so there only matrix products and a frozen backbone use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Precision = Literal["no", "bf16"]


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Inside, float32 matrix products and convolutions on the CPU multiply in bf16 ("bf16"), or do not ("no")."""
    settings = (torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv)
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "bf16" if precision == "bf16" else "ieee"
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
