from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index

from simformer.errors import DatasetError
from simformer.evaluation import ConfusionMatrix, evaluate


def test_scores_by_hand():
    matrix = ConfusionMatrix(4)
    # class 0: 3 pixels, 2 found; class 1: 2 pixels, 1 found; class 2: 1 pixel, found; class 3: absent
    truth = np.array([[0, 0, 0, 255], [1, 1, 2, 255]])
    guess = np.array([[0, 0, 1, 0], [1, 255, 2, 3]])
    matrix.update(guess, truth)
    scores = matrix.scores(novel=[1, 3])
    # IoU: class 0 2/3 (union 3 + 0); class 1 1/3 (truth 2, one false positive); class 2 1/1.
    assert scores.per_class == [pytest.approx(200 / 3), pytest.approx(100 / 3), 100.0, None]
    assert scores.miou == pytest.approx(200 / 3)
    assert scores.base == pytest.approx((200 / 3 + 100) / 2)
    assert scores.novel == pytest.approx(100 / 3)  # absent class 3 is left out
    assert (scores.pixels, scores.images) == (6, 1)


def test_void_truth_is_left_out_even_where_a_class_is_predicted():
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([[0, 1]]), np.array([[0, 255]]))
    assert matrix.scores().per_class == [100.0, None]


def test_unsure_prediction_is_wrong():
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([[0, 255, 255, 255]]), np.array([[0, 0, 0, 0]]))
    assert matrix.scores().per_class == [25.0, None]
    assert matrix.counts[0].tolist() == [1, 0, 3]


def test_one_matrix_over_the_set_not_a_mean_of_photos():
    matrix = ConfusionMatrix(2)
    matrix.update(np.zeros((1, 8), int), np.zeros((1, 8), int))
    matrix.update(np.ones((1, 2), int), np.zeros((1, 2), int))
    scores = matrix.scores()
    assert scores.per_class[0] == pytest.approx(80)  # 8 of 10 pixels; a mean over photos would say 50
    assert scores.images == 2


def test_means_without_members_are_none():
    matrix = ConfusionMatrix(2)
    assert (matrix.scores().miou, matrix.scores().novel) == (None, None)
    matrix.update(np.array([[0]]), np.array([[0]]))
    scores = matrix.scores(novel=[1])
    assert (scores.miou, scores.base, scores.novel) == (100.0, 100.0, None)


def test_uint8_tensors_do_not_overflow():
    matrix = ConfusionMatrix(200)
    labels = torch.full((3, 3), 199, dtype=torch.uint8)
    matrix.update(labels, labels)
    assert matrix.counts[199, 199] == 9


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        ([[0, 0]], [[0]], "2 x 1 pixels, but the label map is 1 x 1"),
        ([[0]], [[2]], "the label map holds the value 2"),
        ([[7]], [[0]], "the prediction holds the value 7"),
    ],
)
def test_bad_values_name_themselves(prediction, truth, message):
    with pytest.raises(DatasetError, match=message):
        ConfusionMatrix(2).update(np.array(prediction), np.array(truth))


def test_novel_index_out_of_range():
    with pytest.raises(ValueError, match="not all among 2"):
        ConfusionMatrix(2).scores(novel=[2])


labels = arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 1, 2, 255]))


@settings(max_examples=60)
@given(labels, labels)
def test_equals_sets_of_pixels(prediction, truth):
    matrix = ConfusionMatrix(3)
    matrix.update(prediction, truth)
    known = truth != 255
    for index, value in enumerate(matrix.scores().per_class):
        of_truth, of_guess = (truth == index) & known, (prediction == index) & known
        if not of_truth.any():
            assert value is None
        else:
            assert value == pytest.approx(100 * (of_truth & of_guess).sum() / (of_truth | of_guess).sum())


@settings(max_examples=30, deadline=None)
@given(labels, arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 1, 2])))
def test_counts_are_those_of_torchmetrics(truth, prediction):
    """Which knows no prediction that is unsure."""
    matrix = ConfusionMatrix(3)
    matrix.update(prediction, truth)
    tensors = [torch.from_numpy(values.astype(np.int64)) for values in (prediction, truth)]
    expected = multiclass_confusion_matrix(*tensors, num_classes=3, ignore_index=255)
    assert matrix.counts[:, :3].tolist() == expected.tolist() and not matrix.counts[:, 3].any()
    iou = multiclass_jaccard_index(*tensors, num_classes=3, average=None, ignore_index=255)
    found = matrix.scores().per_class
    for index, value in enumerate(found):
        if value is not None:
            assert value == pytest.approx(100 * iou[index].item(), abs=1e-4)


class Photos:
    """Three photos of one pixel value each; the second has no label map."""

    classes = ("a", "b")
    names = ("one", "two", "three")

    def __init__(self, label_maps):
        self._label_maps = label_maps

    def image(self, index):
        return torch.full((3, 2, 2), index, dtype=torch.uint8)

    def label_map(self, index):
        return self._label_maps[index]


def test_evaluate_skips_photos_without_label_map():
    truth = torch.tensor([[0, 0], [1, 255]], dtype=torch.uint8)
    seen = []

    def segment(image):
        seen.append(int(image[0, 0, 0]))
        return np.zeros((2, 2), np.uint8)

    scores, seconds = evaluate(segment, Photos([truth, None, truth]), novel=[1])
    assert seen == [0, 2]
    assert (scores.images, scores.pixels) == (2, 6)
    assert scores.base == pytest.approx(100 * 4 / 6)
    assert scores.novel == 0
    assert 0 <= seconds < 1


def test_evaluate_names_the_photo_that_does_not_fit():
    with pytest.raises(DatasetError, match="photo three"):
        evaluate(lambda image: np.zeros((2, 2), int), Photos([None, None, torch.zeros(3, 2)]))


def test_evaluate_without_any_label_map():
    with pytest.raises(DatasetError, match="no photo of the data set has a label map"):
        evaluate(lambda image: None, Photos([None] * 3))
