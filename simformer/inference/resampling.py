"""Score maps upsampled to a photo's own size, tile by tile, and the best class of each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from simformer.labels import VOID
from simformer.utils.spans import spans

# Upsampled scores held at once: 8 MB, which is fastest too, being near the size of a processor's cache.
TILE_VALUES = 2_000_000

# Rows and columns of a photo.
Place: TypeAlias = tuple[slice, slice]


def labels_from_scores(
    score_maps: NDArray[np.float32] | Tensor, size: tuple[int, int], threshold: float = 0.0
) -> NDArray[np.uint8]:
    """Upsample score maps bilinearly and take the best class of each pixel, tile by tile.

    Of a 12-megapixel photo all upsampled score maps would fill a gigabyte for 21 classes; tiles are bounded.

    Args:
        score_maps: float32, K x h x w, K at most 255.
        size: (height, width) of the label map.
        threshold: pixels whose best score is below it become 255.

    Returns:
        uint8, height x width: class index or 255. Of equal scores the lowest index wins.
    """
    scores = torch.as_tensor(score_maps).detach().float().cpu()
    if len(scores) > VOID:
        raise ValueError(f"a uint8 label map holds at most {VOID} classes, not {len(scores)}")
    # Activation maps are zero everywhere for most classes: only the others can be the best.
    active = scores.amax((1, 2)).nonzero()[:, 0]
    if len(active) == 0:
        active = torch.arange(1)
    labels = np.empty(size, dtype=np.uint8)
    for place, tile in upsampled_tiles(scores[active], size):
        best, index = best_class(tile)
        labels[place] = torch.where(best < threshold, VOID, active[index]).to(torch.uint8).numpy()
    return labels


def best_class(tile: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum over the classes and its index (the lowest of equals); overwrites the K x rows x width scores.

    On a CPU this takes half the time of `Tensor.max`, whose search for indices is not vectorized.
    """
    best = tile.amax(0)
    order = torch.arange(len(tile), 0, -1, dtype=tile.dtype)[:, None, None]  # low indices win
    rank = tile.sub_(best).ge_(0).mul_(order).amax(0).clamp_(min=1)  # NaN: no class reaches it
    return best, (len(tile) - rank).long()


def upsampled_tiles(scores: Tensor, size: tuple[int, int]) -> Iterator[tuple[Place, Tensor]]:
    """Tiles (place, K x rows x columns) that together equal one bilinear interpolation to `size`.

    They are whole rows unless one row alone is too long.
    """
    channels, low_height, low_width = scores.shape
    height, width = size
    tile_width = max(1, min(width, TILE_VALUES // channels))
    # The matrix that blends rows is bounded as well.
    tile_height = max(1, TILE_VALUES // max(channels * tile_width, low_height))
    for columns in spans(width, tile_width):
        left, right = (0, low_width) if tile_width == width else source_span(low_width, width, columns)
        for rows in spans(height, tile_height):
            first, end = source_span(low_height, height, rows)
            strip = scores[:, first:end, left:right]
            if tile_width == width:
                strip_size = (strip.shape[1], width)
                wide = F.interpolate(strip[None], size=strip_size, mode="bilinear", align_corners=False)[0]
            else:
                before, after, share = source_rows(low_width, width, columns)
                wide = torch.lerp(strip[..., before - left], strip[..., after - left], share[:, 0])
            above, below, weight = source_rows(low_height, height, rows)
            yield (rows, columns), blend_rows(wide, above - first, below - first, weight)


def source_span(low_height: int, height: int, rows: slice) -> tuple[int, int]:
    """First row and end of the rows that some rows of an interpolation are made of."""
    above, _, _ = source_rows(low_height, height, slice(rows.start, rows.start + 1))
    _, below, _ = source_rows(low_height, height, slice(rows.stop - 1, rows.stop))
    return int(above), int(below) + 1


def source_rows(low_height: int, height: int, rows: slice | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Bilinear interpolation of rows, corners not aligned: which two rows, and the second one's weight (rows x 1).

    Interpolation is separable: columns by F.interpolate, a few rows at a time by this formula.

    Args:
        rows: those to interpolate, of `height`; None = all.
    """
    start, stop = (0, height) if rows is None else (rows.start, rows.stop)
    position = ((torch.arange(start, stop, dtype=torch.float64) + 0.5) * low_height / height - 0.5).clamp(min=0)
    above = position.long().clamp(max=low_height - 1)
    return above, (above + 1).clamp(max=low_height - 1), (position - above).float()[:, None]


def blend_rows(maps: Tensor, above: Tensor, below: Tensor, weight: Tensor) -> Tensor:
    """Rows of C x h x w maps (indices and weights as `source_rows` gives them) -> C x rows x w.

    A product of matrices, nearly all zeros: on a CPU it takes half the time of gathering rows and blending those.
    """
    shares = maps.new_zeros(len(above), maps.shape[1])
    shares.scatter_add_(1, above[:, None], 1 - weight).scatter_add_(1, below[:, None], weight)
    return shares @ maps
