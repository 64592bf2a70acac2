"""What is long or large in pieces."""

from __future__ import annotations

from collections.abc import Iterator

COUNTED_PIXELS = 4_000_000
"""Pixels of a label map that are copied or counted at once: copies of all of them would take ten times its memory."""


def spans(length: int, longest: int) -> Iterator[slice]:
    """0 to `length` in pieces."""
    return (slice(start, min(start + longest, length)) for start in range(0, length, longest))


def row_strips(height: int, width: int, pixels: int | None = None) -> Iterator[slice]:
    """Rows of a picture in strips of at most so many pixels, but of one row at least; None = COUNTED_PIXELS."""
    return spans(height, max(1, (COUNTED_PIXELS if pixels is None else pixels) // max(1, width)))
