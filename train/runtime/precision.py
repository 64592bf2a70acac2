"""What `precision: bf16` means on which machine.

A GPU gets autocast. On a CPU a frozen backbone runs in bf16, and the products of SimNet and of all backward passes are
rounded to it. What the queries predict stays float32: with those products rounded as well one of two trainings ended
with queries that only dropout told apart. So do normalizations and convolutions of single channels, which are slower in
bf16, in the backward pass above all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

Precision = Literal["no", "bf16"]


@contextmanager
def cpu_matmul_precision(precision: Precision) -> Iterator[None]:
    """Inside, float32 matrix products and convolutions on the CPU multiply in bf16 ("bf16"), or do not ("no")."""
    mkldnn: Any = torch.backends.mkldnn  # its settings are attributes that only its module's own class has
    settings = (mkldnn.matmul, mkldnn.conv)
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "bf16" if precision == "bf16" else "ieee"
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
