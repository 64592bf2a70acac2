"""The losses of every decoder layer, each worked out by hand on a few pixels."""

from __future__ import annotations

import math

import pytest
import torch

from simformer.criterion import SILENT_LOGIT, Criterion, complementary_loss, dice_loss, focal_loss, mask_losses
from simformer.model import Output, Targets

LN2, LN3 = math.log(2), math.log(3)
FAR = 50.0  # a logit whose sigmoid is 1


def classes(*lists: list[int]) -> list[torch.Tensor]:
    return [torch.tensor(values, dtype=torch.int64) for values in lists]


def pairs(*lists: list[tuple[int, int]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Matches: per image (query, index of the target)."""
    return [tuple(torch.tensor(values, dtype=torch.int64).view(-1, 2).unbind(1)) for values in lists]


def by_hand(p: list[float], target: list[int]) -> tuple[float, float]:
    """Focal and dice loss of pixels with these probabilities."""
    right = [q if t else 1 - q for q, t in zip(p, target, strict=True)]
    alpha = [0.25 if t else 0.75 for t in target]
    focal = sum(-a * (1 - r) ** 2 * math.log(r) for a, r in zip(alpha, right, strict=True)) / len(p)
    overlap = sum(q * t for q, t in zip(p, target, strict=True))
    return focal, 1 - (2 * overlap + 1) / (sum(p) + sum(target) + 1)


def base_only(labels: torch.Tensor, base: list[torch.Tensor]) -> Targets:
    """Targets of images without padding and novel classes."""
    return Targets(labels, torch.zeros_like(labels, dtype=torch.bool), base, classes(*[[]] * len(base)))


def labels_only(base: list[torch.Tensor], novel: list[torch.Tensor]) -> Targets:
    """Targets whose pixels nobody reads."""
    return Targets(torch.zeros(0), torch.zeros(0), base, novel)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


# --- classification ---------------------------------------------------------------------------------------


def test_classification_by_hand():
    # Query 0 is matched to class 0, of probability 1/2; query 1 to nothing, "no object" has 1/3.
    class_logits = torch.tensor([[[2.0, 1.0, 1.0], [1.0, 1.0, 1.0]]]).log()
    criterion = Criterion(2, 0.0)
    loss = criterion.classification_loss(class_logits, pairs([(0, 0)]), labels_only(classes([0]), classes([])))
    assert float(loss) == pytest.approx(1 * LN2 + 0.1 * LN3)
    output = Output(class_logits, torch.tensor([[[[FAR]], [[-FAR]]]]), torch.zeros(0))
    losses = criterion(output, base_only(torch.zeros(1, 1, 1, dtype=torch.int64), classes([0])))
    assert float(losses["classification"]) == pytest.approx((1 * LN2 + 0.1 * LN3) / 1.1)  # the weighted mean


def test_novel_classes_are_classified_like_base_ones():
    class_logits = torch.tensor([[[1.0, 2.0, 5.0], [4.0, 3.0, 1.0]], [[1.0, 1.0, 2.0], [1.0, 7.0, 2.0]]]).log()
    # First image: query 0 is novel class 1, query 1 base class 0; second: query 1 novel class 1, query 0 nothing.
    matches = pairs([(0, 1), (1, 0)], [(1, 0)])
    targets = labels_only(classes([0], []), classes([1], [1]))
    loss = Criterion(2, 0.0).classification_loss(class_logits, matches, targets)
    assert float(loss) == pytest.approx(-math.log(2 / 8) - math.log(4 / 8) - math.log(7 / 10) - 0.1 * math.log(2 / 4))


# --- masks ------------------------------------------------------------------------------------------------


def test_focal_and_dice_by_hand():
    logits = torch.tensor([[[0.0, logit(0.9)], [logit(0.2), 0.0]]])
    targets = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    focal, dice = by_hand([0.5, 0.9, 0.2, 0.5], [1, 1, 0, 0])
    assert focal == pytest.approx(
        (LN2 / 16 - 0.25 * 0.01 * math.log(0.9) - 0.75 * 0.04 * math.log(0.8) + 3 * LN2 / 16) / 4
    )
    assert dice == pytest.approx(1 - (2 * 1.4 + 1) / (2.1 + 2 + 1))
    assert focal_loss(logits, targets).tolist() == pytest.approx([focal])
    assert dice_loss(logits, targets).tolist() == pytest.approx([dice])


def test_masks_of_base_classes_only():
    # Query 2 draws base class 3, query 0 is matched to novel class 1, query 1 to nothing.
    mask_logits = torch.full((1, 3, 1, 2), 7.0)
    mask_logits[0, 2] = torch.tensor([logit(0.8), logit(0.4)])
    base_labels = torch.tensor([[[3, 255]]])
    found = mask_losses(mask_logits, pairs([(0, 1), (2, 0)]), base_only(base_labels, classes([3])))
    assert [float(loss) for loss in found] == pytest.approx(by_hand([0.8, 0.4], [1, 0]))


def test_masks_are_upsampled_to_the_label_map():
    # Bilinear from 1 x 2 to 1 x 4: logits -2, -1, 1, 2.
    base_labels = torch.tensor([[[255, 255, 0, 0]]])
    found = mask_losses(torch.tensor([[[[-2.0, 2.0]]]]), pairs([(0, 0)]), base_only(base_labels, classes([0])))
    p = torch.tensor([-2.0, -1.0, 1.0, 2.0]).sigmoid().tolist()
    assert [float(loss) for loss in found] == pytest.approx(by_hand(p, [0, 0, 1, 1]))


def test_mask_losses_are_divided_by_the_number_of_base_masks():
    # Two images with two and one base masks; every query is undecided everywhere.
    output = Output(torch.zeros(2, 2, 4), torch.zeros(2, 2, 1, 2), torch.zeros(0))
    base_labels = torch.tensor([[[0, 1]], [[1, 255]]])
    no_padding = torch.zeros(2, 1, 2, dtype=torch.bool)
    focal, dice = by_hand([0.5, 0.5], [1, 0])
    targets = Targets(base_labels, no_padding, classes([0, 1], [1]), classes([], [2]))
    losses = Criterion(3, 0.0)(output, targets)
    assert float(losses["focal"]) == pytest.approx(20 * focal)
    assert float(losses["dice"]) == pytest.approx(dice)
    halved = Criterion(3, 0.0)(output, targets, across_workers=lambda counts: 2 * counts)
    assert float(halved["dice"]) == pytest.approx(dice / 2)
    shared = Criterion(3, 0.0)(output, targets, across_workers=lambda counts: counts / 100)
    assert float(shared["dice"]) == pytest.approx(3 * dice)  # at least one mask


# --- complementary ----------------------------------------------------------------------------------------


def test_the_silent_logit_is_five_percent():
    assert SILENT_LOGIT == -2.9444
    assert 1 / (1 + math.exp(-SILENT_LOGIT)) == pytest.approx(0.05, abs=1e-5)


def test_complementary_by_hand():
    # Four pixels: base class 0, two without label, padding. Queries 1 and 2 are matched to novel classes.
    mask_logits = torch.full((1, 3, 1, 4), -9.0)
    mask_logits[0, 0] = FAR  # matched to the base class: must not matter
    mask_logits[0, 1, 0] = torch.tensor([-9.0, logit(0.7), -9.0, -9.0])
    mask_logits[0, 2, 0] = torch.tensor([logit(0.2), logit(0.3), -9.0, logit(0.6)])
    base_labels = torch.tensor([[[0, 255, 255, 255]]])
    padding = torch.tensor([[[False, False, False, True]]])
    targets = Targets(base_labels, padding, classes([0]), classes([1, 2]))
    loss = complementary_loss(mask_logits, pairs([(0, 0), (1, 1), (2, 2)]), targets)
    focal, dice = by_hand([0.2, 0.7, 0.05, 0.6], [0, 1, 1, 0])
    assert float(loss) == pytest.approx(20 * focal + dice, rel=1e-4)


def test_complementary_is_a_mean_over_images_with_a_novel_class():
    # The first image has none; the other two have one query each, undecided or silent.
    output = Output(torch.zeros(3, 1, 3), torch.tensor([[[[7.0]]], [[[0.0]]], [[[-FAR]]]]), torch.zeros(0))
    base_labels = torch.full((3, 1, 1), 255)
    no_padding = torch.zeros(3, 1, 1, dtype=torch.bool)
    targets = Targets(base_labels, no_padding, classes([], [], []), classes([], [1], [1]))
    first, second = by_hand([0.5], [1]), by_hand([0.05], [1])
    expected = (20 * first[0] + first[1] + 20 * second[0] + second[1]) / 2
    assert float(Criterion(2, 0.3)(output, targets)["complementary"]) == pytest.approx(0.3 * expected, rel=1e-4)
    assert "complementary" not in Criterion(2, 0.0)(output, targets)


def test_no_gradient_where_every_novel_query_is_silent():
    mask_logits = torch.full((1, 1, 1, 2), -9.0, requires_grad=True)
    targets = base_only(torch.full((1, 1, 2), 255), classes([]))
    complementary_loss(mask_logits, pairs([(0, 0)]), targets).backward()
    assert (mask_logits.grad == 0).all()


# --- together ---------------------------------------------------------------------------------------------


def random_batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    layers = [
        (torch.randn(2, 4, 5, generator=generator), torch.randn(2, 4, 4, 6, generator=generator)) for _ in range(3)
    ]
    base_labels = torch.tensor([0, 1, 255])[torch.randint(3, (2, 16, 24), generator=generator)]
    padding = torch.zeros(2, 16, 24, dtype=torch.bool)
    padding[1, :, 20:] = True
    base_labels[padding] = 255
    return layers, Targets(base_labels, padding, classes([0, 1], [0, 1]), classes([2], [2, 3]))


def test_layers_add_up():
    layers, targets = random_batch()
    criterion = Criterion(4, 0.15)
    alone = [criterion(Output(*layer, torch.zeros(0)), targets) for layer in layers]
    together = criterion(Output(*layers[2], torch.zeros(0), layers[:2]), targets)
    assert set(together) == {"classification", "focal", "dice", "complementary"}
    for name, loss in together.items():
        assert float(loss) == pytest.approx(sum(float(losses[name]) for losses in alone), rel=1e-5)


def test_what_processes_share_adds_up_to_the_whole_batch():
    """The mean over two workers, each with an image and the averaged counts, is the loss of both images."""
    layers, targets = random_batch()
    targets.base[1] = torch.tensor([0])  # unequal numbers of masks
    targets.novel[0] = torch.tensor([], dtype=torch.int64)
    criterion = Criterion(4, 0.15)
    layer = layers[0]
    whole = criterion(Output(*layer, torch.zeros(0)), targets)
    counts = []

    def run(image: int, across_workers) -> dict[str, torch.Tensor]:
        one = slice(image, image + 1)
        output = Output(layer[0][one], layer[1][one], torch.zeros(0))
        parts = targets.labels, targets.padding, targets.base, targets.novel
        return criterion(output, Targets(*(part[one] for part in parts)), across_workers)

    for image in range(2):
        run(image, lambda own: (counts.append(own), own)[1])
    mean = (counts[0] + counts[1]) / 2
    shares = [run(image, lambda own: mean) for image in range(2)]
    for name, loss in whole.items():
        assert float(loss) == pytest.approx((float(shares[0][name]) + float(shares[1][name])) / 2, rel=1e-5)


@pytest.mark.parametrize("base, novel", [([], []), ([0], []), ([], [2])])
def test_images_that_lack_a_role_still_have_gradients(base, novel):
    class_logits = torch.randn(1, 3, 4, requires_grad=True)
    mask_logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    labels = torch.full((1, 2, 2), base[0] if base else 255)
    padding = torch.zeros(1, 2, 2, dtype=torch.bool)
    output = Output(class_logits, mask_logits, torch.zeros(0))
    losses = Criterion(3, 0.15)(output, Targets(labels, padding, classes(base), classes(novel)))
    assert all(loss.isfinite() for loss in losses.values())
    assert (losses["focal"] > 0) == (losses["dice"] > 0) == bool(base)
    assert (losses["complementary"] > 0) == bool(novel)
    sum(losses.values()).backward()
    assert class_logits.grad.abs().sum() > 0 and mask_logits.grad is not None
