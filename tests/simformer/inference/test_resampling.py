from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from simformer.inference import resampling
from simformer.inference.resampling import labels_from_scores


def upsampled(scores, size):
    return F.interpolate(torch.as_tensor(scores)[None], size=size, mode="bilinear", align_corners=False)[0]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40),
    st.integers(1, 200), st.integers(0, 10**6),
)  # fmt: skip
def test_tiles_equal_one_interpolation(channels, low_height, low_width, height, width, tile_values, seed):
    scores = torch.rand(channels, low_height, low_width, generator=torch.Generator().manual_seed(seed))
    whole = upsampled(scores, (height, width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "TILE_VALUES", tile_values)
        tiles = list(resampling.upsampled_tiles(scores, (height, width)))
        labels = labels_from_scores(scores, (height, width))
    assert max(tile.numel() for _, tile in tiles) <= max(tile_values, channels)
    found = torch.full_like(whole, torch.nan)
    for place, tile in tiles:
        found[:, *place] = tile
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)
    # Two nearly equal scores may change places by rounding; the label's score is the best one all the same.
    chosen = whole.gather(0, torch.from_numpy(labels.astype(np.int64))[None])[0]
    torch.testing.assert_close(chosen, whole.max(0).values, atol=1e-5, rtol=1e-5)


def test_a_pixel_at_the_threshold_is_sure():
    scores = np.full((1, 1, 1), 0.5, np.float32)
    assert labels_from_scores(scores, (1, 1), 0.5).item() == 0


def test_of_equal_scores_the_lowest_class_wins_and_empty_maps_never_do():
    scores = np.zeros((4, 2, 2), np.float32)
    assert labels_from_scores(scores, (2, 2)).tolist() == [[0, 0], [0, 0]]
    scores[2], scores[3] = 0.5, 0.5
    scores[2, 0, 0] = scores[3, 0, 0] = 0.0
    assert labels_from_scores(scores, (2, 2)).tolist() == [[2, 2], [2, 2]]
    assert scores[3].sum() == 1.5  # the maps are not overwritten


def test_scores_that_are_not_numbers_still_give_a_class():
    assert labels_from_scores(np.full((3, 1, 1), np.nan, np.float32), (2, 2)).max() < 3


def test_too_many_classes_for_uint8():
    with pytest.raises(ValueError, match="at most 255 classes"):
        labels_from_scores(np.zeros((256, 1, 1), np.float32), (1, 1))


def test_a_large_photo_needs_bounded_memory():
    scores = np.random.default_rng(0).random((21, 8, 12), dtype=np.float32)
    largest = 0
    for _, tile in resampling.upsampled_tiles(torch.from_numpy(scores), (3000, 4000)):
        largest = max(largest, tile.numel())
        if tile.shape[1] * 10 < 3000:
            break
    assert largest <= resampling.TILE_VALUES


@pytest.mark.parametrize("size", [(1, 30_000_000), (30_000_000, 1)])
def test_one_row_and_one_column_need_bounded_memory(size):
    scores = torch.rand(3, *(min(8, side) for side in size))
    for number, (place, tile) in enumerate(resampling.upsampled_tiles(scores, size)):
        assert tile.numel() <= resampling.TILE_VALUES
        assert tile.shape[1:] == tuple(part.stop - part.start for part in place)
        if number == 3:
            break
