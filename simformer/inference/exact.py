"""Inference exactly as the paper's network defines it: mask logits upsampled to the input, score maps composed after.

`Predictor` composes score maps at stride 4 and upsamples those: less work, and different near the borders of masks,
because the sigmoid is no straight line. Here every pixel of the input gets its own sigmoids and its own product over
queries (Cheng et al., "Per-Pixel Classification is Not All You Need for Semantic Segmentation", NeurIPS 2021, semantic
inference), and the work goes down by rewriting alone: one convolution gives the mask logits, tiles of rows stay in
the processor's cache, and queries that cannot change a score are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from simformer.inference.resampling import TILE_VALUES, Place, best_class, blend_rows, source_rows
from simformer.labels import VOID
from simformer.model import SimFormer
from simformer.utils.spans import spans

# Of mask logits and score maps. Input sides are multiples of it, so that maps and photo cover the same area.
STRIDE = 4
# Queries that together raise no score by more than this are left out: what float32 rounds off such sums anyway.
NEGLIGIBLE = 1e-6


def last_predictions(network: SimFormer, image: Tensor) -> tuple[Tensor, Tensor]:
    """The last layer's class logits, 1 x N x (K + 1), and mask logits, 1 x N x h x w, as `network(image)` gives them.

    Mask logits are inner products of mask embeddings with the output of a convolution. Both are linear, so the mask
    embeddings go into the convolution's kernel: N output channels in place of C, and no per-pixel embeddings.

    Args:
        network: in evaluation mode.
        image: 1 x 3 x H x W, RGB 0 to 255.
    """
    pyramid = network.features(image)
    queries = network.transformer(pyramid[-1])[-1]
    embedding = network.pixel_decoder.embedding
    # A separable convolution ends in a pointwise one.
    *before, last = embedding if isinstance(embedding, nn.Sequential) else [embedding]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    maps = network.pixel_decoder.finest(pyramid)
    for layer in before:
        maps = layer(maps)
    masks = network.mask_head(queries)[0]
    kernel = torch.einsum("nc,cikl->nikl", masks, last.weight).contiguous(memory_format=torch.channels_last)
    mask_logits = F.conv2d(maps, kernel, masks @ last.bias, padding=last.padding)
    return network.classify(queries, pyramid[-1], mask_logits), mask_logits


def exact_labels(
    class_logits: Tensor,
    mask_logits: Tensor,
    input_size: tuple[int, int],
    size: tuple[int, int],
    threshold: float = 0.0,
) -> NDArray[np.uint8]:
    """The best class of every pixel, from score maps composed at the input's resolution and resized to the photo's.

    Args:
        class_logits: N x (K + 1), K at most 255; the last entry is "no object".
        mask_logits: N x h x w, at stride 4 of the padded input.
        input_size: (height, width) of the input before it was padded at the right and bottom.
        size: (height, width) of the photo.
        threshold: pixels whose best score is below it become 255.

    Returns:
        uint8, height x width: class index or 255. Of equal scores the lowest index wins.
    """
    labels = np.empty(size, dtype=np.uint8)
    for place, scores in score_tiles(class_logits, mask_logits, input_size, size):
        best, index = best_class(scores)
        labels[place] = torch.where(best < threshold, VOID, index).to(torch.uint8).numpy()
    return labels


def score_tiles(
    class_logits: Tensor, mask_logits: Tensor, input_size: tuple[int, int], size: tuple[int, int]
) -> Iterator[tuple[Place, Tensor]]:
    """Tiles (whole rows of the photo, K x rows x width scores) that cover the photo; arguments as `exact_labels`."""
    class_scores = class_logits.float().softmax(-1)[:, :-1].t().cpu()
    mask_logits = mask_logits.float().cpu().contiguous()
    (height, width), (input_height, input_width) = size, input_size
    above, below, weight = source_rows(input_height, height)
    input_rows = -(-input_height // height)  # per row of the photo
    tile_rows = max(1, TILE_VALUES // (len(class_scores) * max(width, input_width * input_rows)))
    for rows in spans(height, tile_rows):
        place = (rows, slice(0, width))
        if size == input_size:
            yield place, input_scores(class_scores, mask_logits, rows, input_width)
            continue
        source = slice(int(above[rows.start]), int(below[rows.stop - 1]) + 1)
        scores = input_scores(class_scores, mask_logits, source, input_width)
        wide = F.interpolate(scores[None], size=(scores.shape[1], width), mode="bilinear", align_corners=False)[0]
        yield place, blend_rows(wide, above[rows] - source.start, below[rows] - source.start, weight[rows])


def input_scores(class_scores: Tensor, mask_logits: Tensor, rows: slice, width: int) -> Tensor:
    """Scores of some rows of the input, K x rows x width, from K x N class scores and N x h x w mask logits."""
    _, low_height, low_width = mask_logits.shape
    above, below, weight = source_rows(low_height, STRIDE * low_height)
    first, last = int(above[rows.start]), int(below[rows.stop - 1])
    strip = mask_logits[:, first : last + 1]
    kept = queries_that_matter(class_scores, strip)
    if not len(kept):
        return class_scores.new_zeros(len(class_scores), rows.stop - rows.start, width)
    strip = strip[kept]
    padded_size = (strip.shape[1], STRIDE * low_width)
    wide = F.interpolate(strip[None], size=padded_size, mode="bilinear", align_corners=False)[0, ..., :width]
    masks = blend_rows(wide, above[rows] - first, below[rows] - first, weight[rows]).sigmoid_()
    return (class_scores[:, kept] @ masks.flatten(1)).view(-1, *masks.shape[1:])


def queries_that_matter(class_scores: Tensor, mask_logits: Tensor) -> Tensor:
    """Indices, ascending, of the queries to keep: without the others no score falls by more than `NEGLIGIBLE`.

    An interpolated logit is a mean of logits and never exceeds their maximum, and the sigmoid rises: what query n adds
    to any score at any pixel is at most its best class score times the sigmoid of its highest mask logit. Queries are
    left out, the least first, while the sum of these bounds stays small.

    Args:
        class_scores: K x N, 0 to 1.
        mask_logits: N x h x w, all those that the pixels in question are interpolated from.
    """
    bounds, order = (class_scores.amax(0) * mask_logits.amax((1, 2)).sigmoid()).sort()
    return order[bounds.cumsum(0) > NEGLIGIBLE].sort().values
