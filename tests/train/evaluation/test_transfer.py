"""What teacher and student are asked, and what is said of their answers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from simformer.datasets.folder import FolderDataset
from simformer.datasets.transforms import TrainTransform
from simformer.errors import ConfigError
from simformer.results import Transfer, TransferAuc
from simformer.splits import custom_split
from train.engine import train
from train.evaluation.transfer import Judgement, ask, described, judge, measure_transfer, summary
from train.tables.provenance import result_cell


class Colors(nn.Module):
    """In the place of a task: an embedding is the mean color of 4 x 4 pixels.

    The teacher calls two alike whose colors are close; the student has a query, a class of its own, for each of the
    colors 100 and 200.
    """

    def __init__(self, wrong: bool = False):
        super().__init__()
        self.novel_classes = torch.tensor([1, 2])
        self.similarity = SimpleNamespace(
            simnet=object(), teacher=lambda a, b: (torch.cdist(a, b) < 30).float().sub(float(wrong)).abs()
        )

    def network(self, images, auxiliary=True):
        embeddings = nn.functional.avg_pool2d(images, 4)
        masks = torch.stack([20 - (embeddings[:, 0] - color).abs() for color in (100, 200)], 1)
        classes = (9 * torch.eye(20)[1:3]).expand(len(images), -1, -1)
        return SimpleNamespace(pixel_embeddings=embeddings, class_logits=classes, mask_logits=masks)


def sample(*colors: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A photo of columns 16 pixels wide and its truth: color 100 is class 1, 200 class 2, all others nothing."""
    photo = torch.tensor(colors, dtype=torch.uint8).repeat_interleave(16).expand(3, 16 * len(colors), -1)
    labels = torch.full(photo.shape[1:], 255, dtype=torch.uint8)
    labels[photo[0] == 100], labels[photo[0] == 200] = 1, 2
    return photo.contiguous(), labels


WHOLE = TrainTransform(32, (1.0, 1.0), flip=False, photometric=False)


def test_only_pixels_of_the_classes_are_asked_about():
    said, same = ask(Colors(), [sample(100, 0), sample(100, 200)], [1, 2], WHOLE, 10)
    assert {who: answers.shape for who, answers in said.items()} == {"teacher": (100,), "student": (100,)}
    assert all(np.array_equal(answers > 0.5, same) for answers in said.values()) and 0 < same.sum() < 100
    _, same = ask(Colors(), [sample(100, 0), sample(100, 200)], [1], WHOLE, 10)
    assert same.all()
    assert ask(Colors(), [sample(100, 0), sample(0, 200)], [1], WHOLE, 10) is None


def test_a_teacher_of_pixels_is_asked_about_the_same_pixels():
    class Flipped:
        """Says of every pixel the class that it is not, 255 being neither."""

        def probabilities(self, image):
            color = nn.functional.avg_pool2d(image[None].float(), 4)[0, 0]
            return torch.stack([torch.zeros_like(color), *((color == other).float() for other in (200, 100))])

    said, same = ask(Colors(), [sample(100, 0), sample(100, 200)], [1, 2], WHOLE, 10, Flipped())
    # Consistently wrong is right about pairs.
    assert np.array_equal(said["teacher"] > 0.5, same)


def test_answers_by_hand():
    same = np.array([True, True, True, False, False])
    found = summary(np.array([0.9, 0.8, 0.3, 0.6, 0.1], dtype=np.float32), same)
    assert found == Judgement(3, 2, pytest.approx(2 / 3), pytest.approx(1 / 2), pytest.approx(5 / 6))
    assert summary(np.array([0.9]), np.array([True])) == Judgement(1, 0, 1.0, None, None)


def test_who_is_always_wrong_is_found_out(scenes, settings):
    dataset = FolderDataset(scenes)
    config = settings()
    state = torch.random.get_rng_state()
    right, wrong = (
        judge(Colors(wrong), dataset, range(len(dataset.classes)), config, pairs=5)["teacher"]
        for wrong in (False, True)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (wrong.same, wrong.different) == (right.same, right.different)
    assert wrong.same_found == pytest.approx(1 - right.same_found)
    assert wrong.auc == pytest.approx(1 - right.auc)


def test_classes_that_no_two_photos_share(scenes, settings):
    dataset = FolderDataset(scenes)
    with pytest.raises(ConfigError, match=r"no two photos of .* share one of the classes"):
        judge(Colors(), dataset, [], settings())
    split = custom_split(dataset.classes, ["sky"])
    photos = FolderDataset(scenes)
    photos.all_image_labels = lambda: [()] * len(photos)
    assert measure_transfer(Colors(), photos, split, settings()) is None
    assert measure_transfer(Colors(), dataset, custom_split(dataset.classes, []), settings()) is None


@pytest.mark.parametrize("changes, who", [
    ({}, {"teacher", "student"}),
    ({"pairing": "none"}, {"student"}),
    ({"distill_from": "partial_labels", "partial_labels": {"steps": 5}}, {"teacher", "student"}),
    ({"pairing": "none", "pseudo": "partial_labels", "partial_labels": {"steps": 5}}, {"teacher", "student"}),
])  # fmt: skip
def test_a_result_holds_what_was_transferred(settings, changes, who):
    config = settings(val_list="train.txt", steps=1, **changes)
    cell = result_cell(config, train(config), "")
    assert {name for name, auc in cell.transfer if auc is not None} == who
    assert all(0 <= value <= 1 for _, auc in cell.transfer if auc for _, value in auc)
    assert cell.health.queries >= 1 and 0 <= cell.health.accuracy <= 1
    assert cell.health.accuracy_with_dropout is not None


def test_oracle_and_classifier_transfer_nothing(settings):
    config = settings(
        val_list="train.txt", steps=1, novel=[], pairing="none", model=settings().model | {"dropout": 0.0}
    )
    cell = result_cell(config, train(config), "")
    assert cell.transfer is None and cell.health.queries >= 1 and cell.health.accuracy_with_dropout is None


def test_a_line_for_the_log():
    found = Transfer(teacher=TransferAuc(base=0.9, novel=0.8), student=TransferAuc(base=0.75, novel=None))
    expected = "AUC on pairs of evaluation pixels: teacher novel 0.80, teacher base 0.90, student base 0.75"
    assert described(found) == expected
