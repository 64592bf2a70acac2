from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from simformer import segmentation
from simformer.errors import UnknownClassError
from simformer.label_maps import VOID_COLOR
from simformer.palette import class_colors
from simformer.segmentation import Segmentation, labels_from_scores


def upsampled(scores, size):
    return F.interpolate(torch.as_tensor(scores)[None], size=size, mode="bilinear", align_corners=False)[0]


def two_classes(threshold=0.0):
    """4 x 2 pixels from 2 x 2 scores: left column class 0 (0.9), right column class 1 (0.4)."""
    scores = np.array([[[0.9, 0.0]] * 2, [[0.0, 0.4]] * 2], dtype=np.float32)
    return Segmentation(
        labels=labels_from_scores(scores, (4, 2), threshold),
        score_maps=scores,
        classes=("cat", "sky"),
        roles=("base", "novel"),
        model="toy",
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40),
    st.integers(1, 200), st.integers(0, 10**6),
)  # fmt: skip
def test_tiles_equal_one_interpolation(channels, low_height, low_width, height, width, tile_values, seed):
    scores = torch.rand(channels, low_height, low_width, generator=torch.Generator().manual_seed(seed))
    whole = upsampled(scores, (height, width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "TILE_VALUES", tile_values)
        tiles = list(segmentation.upsampled_tiles(scores, (height, width)))
        labels = labels_from_scores(scores, (height, width))
    torch.testing.assert_close(torch.cat([tile for _, tile in tiles], 1), whole, atol=1e-5, rtol=1e-5)
    # Two nearly equal scores may change places by rounding; the label's score is the best one all the same.
    chosen = whole.gather(0, torch.from_numpy(labels.astype(np.int64))[None])[0]
    torch.testing.assert_close(chosen, whole.max(0).values, atol=1e-5, rtol=1e-5)


def test_labels_are_uint8_of_the_asked_size_and_unsure_below_the_threshold():
    labels = two_classes(threshold=0.5).labels
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 255]] * 4


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
    for _, tile in segmentation.upsampled_tiles(torch.from_numpy(scores), (3000, 4000)):
        largest = max(largest, tile.numel())
        if tile.shape[1] * 10 < 3000:
            break
    assert largest <= segmentation.TILE_VALUES


def test_table_by_hand():
    rows = two_classes().table()
    # Equal areas stay in class order. Nothing is mixed between the columns: as many columns as scores.
    assert [(row.index, row.name, row.role, row.area) for row in rows] == [
        (0, "cat", "base", 0.5),
        (1, "sky", "novel", 0.5),
    ]
    assert [row.score for row in rows] == [pytest.approx(0.9), pytest.approx(0.4)]


def test_table_leaves_unsure_pixels_out_of_areas_and_lists_only_classes_found():
    result = two_classes(threshold=0.5)
    assert [(row.name, row.area) for row in result.table()] == [("cat", 0.5)]
    assert result.unsure == 0.5


def test_table_is_largest_first():
    scores = np.array([[[0.0, 0.0, 1.0]], [[1.0, 1.0, 0.0]]], dtype=np.float32)
    result = Segmentation(labels_from_scores(scores, (1, 3)), scores, ("a", "b"), ("base",) * 2, "toy")
    assert [(row.name, row.area) for row in result.table()] == [
        ("b", pytest.approx(2 / 3)),
        ("a", pytest.approx(1 / 3)),
    ]


def test_table_over_several_tiles(monkeypatch):
    scores = np.random.default_rng(1).random((3, 5, 7), dtype=np.float32)
    labels = labels_from_scores(scores, (33, 20))
    result = Segmentation(labels, scores, ("a", "b", "c"), ("base",) * 3, "toy")
    whole = upsampled(scores, (33, 20)).numpy()
    monkeypatch.setattr(segmentation, "TILE_VALUES", 3 * 20 * 4)
    for row in result.table():
        mask = labels == row.index
        assert row.area == pytest.approx(mask.mean())
        assert row.score == pytest.approx(whole[row.index][mask].mean(), abs=1e-5)
    assert sum(row.area for row in result.table()) == pytest.approx(1)


def test_threshold_can_be_raised_and_lowered_again():
    result = two_classes()
    strict = result.with_threshold(0.5)
    assert strict.unsure == 0.5
    assert np.array_equal(strict.with_threshold(0.0).labels, result.labels)
    assert result.unsure == 0  # the original is left alone


def test_score_map_is_at_photo_size():
    result = two_classes()
    sky = result.score_map("sky")
    assert (sky.shape, sky.dtype) == ((4, 2), np.float32)
    assert sky[0].tolist() == [0.0, pytest.approx(0.4)]
    with pytest.raises(UnknownClassError, match="dog"):
        result.score_map("dog")


def test_label_image_holds_the_indices_and_the_class_colors():
    result = two_classes(threshold=0.5)
    image = result.label_image()
    assert (image.mode, image.size) == ("P", (2, 4))
    assert np.array_equal(np.asarray(image), result.labels)
    drawn = np.asarray(image.convert("RGB"))
    assert drawn[0, 0].tolist() == class_colors(result.classes)[0].tolist()
    assert drawn[0, 1].tolist() == list(VOID_COLOR)
