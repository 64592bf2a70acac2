"""One color per class, the same in every picture, table and plot."""

from __future__ import annotations

VOID = 255
