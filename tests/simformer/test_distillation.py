"""Distillation: the novel class scores of two pixels agree as much as the teacher says, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from opinions import VOID, classes, no_padding, opinionated

from simformer.model import Output, Targets
from simformer.similarity import PixelSimilarity, distillation_losses

LN2 = math.log(2)


def test_ce_by_hand():
    student, teacher = torch.tensor([0.5, 1.0, 0.0]), torch.tensor([0.8, 1.0, 0.0])
    found = distillation_losses(student, teacher, "ce")
    clamped = -0.99 * math.log(0.99) - 0.01 * math.log(0.01)
    assert found.tolist() == pytest.approx([LN2, clamped, clamped])


def test_cce_by_hand():
    student, teacher = torch.tensor([0.5, 0.5, 0.25, 1.0]), torch.tensor([0.8, 0.1, 0.5, 0.0])
    expected = [-0.3 * math.log(1.5), -0.4 * math.log(1.5), 0, 0]
    assert distillation_losses(student, teacher, "cce").tolist() == pytest.approx(expected)


def novel_scores(*logits: list[float], pixels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """One query an image that covers everything; class probabilities proportional to the exponentials."""
    return torch.tensor(logits)[:, None], torch.full((len(logits), 1, 1, pixels), 40.0)


def distill(module: PixelSimilarity, scores, novel, labels=None, embeddings=None) -> torch.Tensor:
    class_logits, mask_logits = scores
    labels = torch.full((len(novel), 1, mask_logits.shape[-1]), VOID) if labels is None else labels
    embeddings = torch.randn(len(novel), 32, *labels.shape[1:]) if embeddings is None else embeddings
    output, targets = Output(class_logits, mask_logits, embeddings), Targets(labels, no_padding(labels), [], novel)
    return module.distillation_loss(output, targets, embeddings, labels == VOID)


def test_the_student_compares_pixels_across_the_pair():
    # Novel scores along (1, 0) in the first image and (1, 1) in the second: their cosine is 1 / sqrt(2).
    # Within an image every two pixels agree, which the released code sees.
    scores = novel_scores([0.0, 5.0, -40.0, 1.0], [0.0, 2.0, 2.0, 1.0])
    loss = distill(opinionated(0.9, distillation="cce"), scores, classes([1], [1]))
    assert float(loss) == pytest.approx(-0.4 * math.log(1 + 1 / math.sqrt(2)), rel=1e-4)
    loss = distill(opinionated(0.2, distillation="cce"), scores, classes([1], [1]))
    assert float(loss) == pytest.approx(-0.3 * math.log(2 - 1 / math.sqrt(2)), rel=1e-4)
    loss = distill(opinionated(0.9, distillation="ce"), scores, classes([1], [1]))
    s = 1 / math.sqrt(2)
    assert float(loss) == pytest.approx(-0.9 * math.log(s) - 0.1 * math.log(1 - s), rel=1e-4)


ORDERED = torch.arange(2.0)[:, None, None, None].expand(2, 32, 1, 3)  # the input's channels are less


def test_the_teacher_is_asked_in_both_orders():
    module = opinionated(0.9, 0.3)
    a, b = torch.zeros(1, 2, 32), torch.zeros(1, 2, 32)
    b[:, 0] = 1  # asked about a's points and b's first, the teacher says 0.3; the other way round 0.9
    ab, ba = module.answers(a, b)
    assert torch.allclose(ab, torch.tensor([[[0.3, 0.9], [0.3, 0.9]]]))
    assert torch.allclose(ba, torch.tensor([[[0.9, 0.9], [0.9, 0.9]]]))
    assert torch.allclose(module.teacher(a, b), torch.tensor([[[0.6, 0.9], [0.6, 0.9]]]))
    scores = novel_scores([0.0, 5.0, -40.0, 1.0], [0.0, 2.0, 2.0, 1.0])  # as above
    loss = distill(module, scores, classes([1], [1]), embeddings=ORDERED)
    assert float(loss) == pytest.approx(-0.1 * math.log(1 + 1 / math.sqrt(2)), rel=1e-4)


def test_the_student_within_one_image():
    # Its pixels agree in both images; in the order that begins with the input the teacher says 0.3, in the other 0.9.
    scores = novel_scores([0.0, 5.0, -40.0, 1.0], [0.0, 2.0, 2.0, 1.0])
    module = opinionated(0.9, 0.3, student="within")
    loss = distill(module, scores, classes([1], [1]), embeddings=ORDERED)
    assert float(loss) == pytest.approx((-0.2 * math.log(2 - 1) - 0.4 * math.log(1 + 1)) / 2, rel=1e-4, abs=1e-6)
    novel = classes([1], [2], [1], [])
    four = tuple(each.repeat_interleave(2, 0) for each in scores)  # the second pair shares nothing
    halved = distill(module, four, novel, embeddings=ORDERED.repeat_interleave(2, 0))
    assert float(halved) == pytest.approx(float(loss) / 2)


def test_student_scores_are_class_scores_times_masks_summed_over_queries():
    # Query 0 speaks for novel class 1 with 3/4 and covers 1/2 of a pixel, query 1 for class 2 with 1/2 and all of it.
    class_logits = torch.tensor([[[1e-9, 3.0, 1e-9, 1.0], [1e-9, 1e-9, 1.0, 1.0]]] * 2).log()
    mask_logits = torch.tensor([[[[0.0]], [[40.0]]]] * 2)
    class_logits[1, 1] = class_logits[0, 0]  # the second image speaks for class 1 alone
    a = (3 / 4 * 1 / 2, 1 / 2 * 1)
    cosine = a[0] / math.hypot(*a)
    loss = distill(opinionated(0.9), (class_logits, mask_logits), classes([1], [1]))
    assert float(loss) == pytest.approx(-0.4 * math.log(1 + cosine), rel=1e-4)


def test_a_pair_that_shares_no_novel_class_has_a_loss_of_0():
    # Pairs (0, 2) and (1, 3); the first shares class 2, the second shares nothing.
    scores = novel_scores([0.0, 5.0, 5.0, 1.0], [0.0, 9.0, -9.0, 1.0], [0.0, 5.0, -40.0, 1.0], [0.0, -9.0, 9.0, 1.0])
    expected = -0.4 * math.log(1 + 1 / math.sqrt(2))
    novel = classes([1, 2], [1], [2], [2])
    assert float(distill(opinionated(0.9), scores, novel)) == pytest.approx((expected + 0) / 2, rel=1e-4)
    sharing = classes([1, 2], [2], [2], [2])
    assert float(distill(opinionated(0.9), scores, sharing)) == pytest.approx((expected + 0) / 2, rel=1e-4)
    assert float(distill(opinionated(0.9), scores, classes([1], [1], [2], []))) == 0


def test_points_come_from_outside_the_base_masks():
    # The base pixel's score vectors are opposite; outside both images say the same.
    class_logits = torch.tensor([[[0.0, 40.0, -40.0, 0.0], [0.0, -40.0, 40.0, 0.0]]] * 2)
    mask_logits = torch.tensor([[[[9.0, -40.0]], [[-40.0, 9.0]]], [[[-40.0, -40.0]], [[9.0, 9.0]]]])
    labels = torch.tensor([[[0, VOID]], [[VOID, VOID]]])
    for _ in range(3):
        loss = distill(opinionated(0.9), (class_logits, mask_logits), classes([1], [1]), labels)
        assert float(loss) == pytest.approx(-0.4 * math.log(2), rel=1e-4)


def test_a_pair_without_pixels_outside_the_base_masks_has_a_loss_of_0():
    scores = novel_scores([0.0, 5.0, 5.0, 1.0], [0.0, 3.0, 3.0, 1.0], [0.0, 5.0, -40.0, 1.0], [0.0, 3.0, 3.0, 1.0])
    labels = torch.full((4, 1, 3), VOID)
    labels[3] = 0
    found = distill(opinionated(0.9), scores, classes([1], [1], [1], [1]), labels)
    assert float(found) == pytest.approx(-0.4 * math.log(1 + 1 / math.sqrt(2)) / 2, rel=1e-4)
    labels[2] = 0
    assert float(distill(opinionated(0.9), scores, classes([1], [1], [1], [1]), labels)) == 0


def losses_beside_padding(module: PixelSimilarity, teacher=None) -> dict[str, torch.Tensor]:
    """Of a pair of two pixels that agree, and two of padding that disagree with these."""
    class_logits = torch.tensor([[[0.0, 40.0, -40.0, 0.0], [0.0, -40.0, 40.0, 0.0]]] * 2)
    mask_logits = torch.tensor([[[[9.0, 9.0, -40.0, -40.0]], [[-40.0, -40.0, 9.0, 9.0]]]] * 2)
    labels = torch.full((2, 1, 4), VOID)
    padding = torch.tensor([[[False, False, True, True]]] * 2)
    targets = Targets(labels, padding, classes([], []), classes([1], [1]), teacher)
    return module(Output(class_logits, mask_logits, torch.randn(2, 32, 1, 4)), targets)


def test_padding_is_outside_of_everything():
    module = opinionated(0.9, distillation_weight=0.5)
    for _ in range(3):
        losses = losses_beside_padding(module)
        assert float(losses["distillation"]) == pytest.approx(0.5 * -0.4 * LN2, rel=1e-4)


def test_padding_as_in_the_released_code():
    # Four points of four pixels: half of the pairs agree.
    losses = losses_beside_padding(opinionated(0.9, points=4, padding=True))
    assert float(losses["distillation"]) == pytest.approx(-0.4 * LN2 / 2, rel=1e-4)


def test_a_weight_of_0_switches_the_loss_off():
    assert losses_beside_padding(opinionated(0.9, distillation_weight=0.0)).keys() == {"similarity"}


# --- a teacher of pixels in SimNet's place ----------------------------------------------------------------


def test_a_teacher_of_pixels():
    # Its word for two pixels is the cosine of their probabilities, 4/5 here; the student's is 1.
    maps = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]], [[[0.8, 0.0]], [[0.6, 1.0]]]]).repeat_interleave(2, -1)
    for padding in (False, True):  # it has no say in the padding
        module = PixelSimilarity(
            32, novel_classes=(1, 2), distillation_weight=0.5, points=5, simnet=False, padding=padding
        )
        losses = losses_beside_padding(module, teacher=maps)
        assert losses.keys() == {"distillation"} and not list(module.parameters())
        assert float(losses["distillation"]) == pytest.approx(0.5 * -0.3 * LN2, rel=1e-4)


def test_a_teacher_of_pixels_is_asked_where_it_sees_a_class():
    maps = torch.zeros(2, 2, 1, 4)
    maps[:, 0] = 0.4
    module = PixelSimilarity(32, novel_classes=(1, 2), distillation_weight=0.5, points=5, simnet=False)
    assert losses_beside_padding(module, teacher=maps)["distillation"] == 0
    maps[:, 1] = 0.3
    assert float(losses_beside_padding(module, teacher=maps)["distillation"]) == pytest.approx(0.5 * -0.5 * LN2)


# --- SimNet as it is asked --------------------------------------------------------------------------------


@pytest.fixture
def learnt() -> PixelSimilarity:
    """With a SimNet whose running statistics are those of no batch."""
    torch.manual_seed(2)
    module = PixelSimilarity(8, novel_classes=(1, 2), distillation_weight=1.0, points=6, hidden=16).train()
    for _ in range(3):
        module.simnet(torch.randn(50, 8), torch.randn(50, 8) + 1)
    return module


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_an_answer_depends_on_no_other_image_pair(learnt, statistics):
    learnt.statistics = statistics
    a, b = torch.randn(2, 6, 8), torch.randn(2, 6, 8)
    both = learnt.teacher(a, b)
    assert torch.allclose(both, torch.cat([learnt.teacher(a[i : i + 1], b[i : i + 1]) for i in (0, 1)]), atol=1e-6)
    a[0, 0] = 9  # another point of the first pair: with running statistics its other points stay as they are
    again = learnt.teacher(a, b)
    assert torch.allclose(both[1], again[1], atol=1e-6)
    assert torch.allclose(both[0, 1:], again[0, 1:], atol=1e-6) == (statistics == "running")


@torch.no_grad()
def test_statistics_of_the_batch_are_those_of_one_image_pair_in_both_orders(learnt):
    pair = torch.randn(2, 6, 8)
    learnt.statistics = "batch"
    found = learnt.answers(pair[:1], pair[1:])
    expected = learnt.simnet(pair[:, :, None], pair.flip(0)[:, None]).softmax(-1)[..., 1]  # in training
    assert all(torch.allclose(one[0], other, atol=1e-6) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_the_teacher_does_not_learn(statistics):
    module = PixelSimilarity(
        32, novel_classes=(1, 2), distillation_weight=0.1, points=10, hidden=32, statistics=statistics
    ).train()
    before = {name: value.clone() for name, value in module.simnet.state_dict().items()}
    class_logits = torch.randn(2, 3, 4, requires_grad=True)
    mask_logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    distill(module, (class_logits, mask_logits), classes([1], [1]), torch.full((2, 4, 4), VOID)).backward()
    assert class_logits.grad.abs().sum() > 0 and mask_logits.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.simnet.state_dict().items())
    assert module.simnet.training and module.simnet.blocks[0].inner_norm.track_running_stats
