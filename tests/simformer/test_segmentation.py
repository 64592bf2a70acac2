from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from simformer.errors import UnknownClassError
from simformer.inference import resampling
from simformer.inference.resampling import labels_from_scores
from simformer.labels import VOID_COLOR
from simformer.segmentation import Segmentation
from simformer.utils.palette import class_colors


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


def test_labels_are_uint8_of_the_asked_size_and_unsure_below_the_threshold():
    labels = two_classes(threshold=0.5).labels
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 255]] * 4


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
    monkeypatch.setattr(resampling, "TILE_VALUES", 3 * 20 * 4)
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


def test_the_least_certain_share_can_be_left_out():
    scores = np.random.default_rng(0).random((3, 50, 40), dtype=np.float32)
    result = Segmentation(labels_from_scores(scores, (50, 40)), scores, ("a", "b", "c"), ("base",) * 3, "toy")
    for share in (0, 0.1, 0.75):
        left = result.with_threshold(result.least_certain(share))
        assert left.unsure == pytest.approx(share, abs=0.001)
        kept = scores.max(0)[left.labels != 255]
        assert kept.min() >= np.sort(scores.max(0), None)[int(share * 2000) - 1 if share else 0]


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
