"""Pixel-pixel similarity: SimNet, sampling, and the two losses of a pair, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from simformer import similarity
from simformer.similarity import (
    PixelSimilarity,
    SimNet,
    distillation_losses,
    gather,
    sample_points,
    shared_base_class,
    shrink_labels,
)

LN2, LN3 = math.log(2), math.log(3)
VOID = 255


def classes(*lists: list[int]) -> list[torch.Tensor]:
    return [torch.tensor(values, dtype=torch.int64) for values in lists]


def no_padding(labels: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(labels, dtype=torch.bool)


# --- SimNet -----------------------------------------------------------------------------------------------


class ConcatenatedSimNet(nn.Module):
    """SimNet as the paper draws it: 1x1 convolutions of concatenated embeddings, with the same weights."""

    def __init__(self, simnet: SimNet):
        super().__init__()
        self.simnet = simnet

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        """M x 2C x h x w -> M x 2 x h x w."""

        def conv(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
            return F.conv2d(x, layer.weight[:, :, None, None], layer.bias)

        def norm(layer: nn.BatchNorm1d, x: torch.Tensor) -> torch.Tensor:
            return F.batch_norm(
                x, layer.running_mean, layer.running_var, layer.weight, layer.bias, self.simnet.training, 0.1, layer.eps
            )

        x = pairs
        for block in self.simnet.blocks:
            shortcut = conv(block.shortcut, x).relu() if block.shortcut is not None else x
            x = norm(block.inner_norm, conv(block.inner, x)).relu()
            x = norm(block.outer_norm, conv(block.outer, x)).relu() + shortcut
        return conv(self.simnet.head, x)


def simnet_with_history(channels=6, hidden=12) -> SimNet:
    torch.manual_seed(3)
    simnet = SimNet(channels, hidden)
    for module in simnet.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    return simnet


@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_broadcasting_equals_concatenation(training):
    simnet = simnet_with_history().train(training)
    a, b = torch.randn(2, 5, 6), torch.randn(2, 7, 6)
    plain = ConcatenatedSimNet(simnet_with_history().train(training))
    pairs = torch.cat((a[:, :, None].expand(-1, -1, 7, -1), b[:, None].expand(-1, 5, -1, -1)), dim=-1)
    expected = plain(pairs.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    found = simnet(a[:, :, None], b[:, None])
    assert found.shape == (2, 5, 7, 2)
    assert torch.allclose(found, expected, atol=1e-5)
    for name, value in simnet.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            assert torch.allclose(value, plain.simnet.state_dict()[name], atol=1e-5), name


def test_simnet_is_three_blocks_and_only_the_first_projects_its_shortcut():
    simnet = SimNet(128)
    assert [block.shortcut is not None for block in simnet.blocks] == [True, False, False]
    assert simnet.blocks[0].inner.in_features == 256 and simnet.head.out_features == 2
    assert {block.outer.out_features for block in simnet.blocks} == {256}


# --- sampling ---------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_points_lie_in_the_region(seed, count):
    generator = torch.Generator().manual_seed(seed)
    region = torch.rand(3, 4, 5, generator=generator) < 0.3
    region[0] = False
    fallback = torch.rand(3, 4, 5, generator=generator) < 0.5
    fallback[0, 1, 2] = True
    points = sample_points(region, fallback, count)
    assert points.shape == (3, count)
    for where, flat, instead in zip(region, points, fallback, strict=True):
        allowed = where if where.any() else instead if instead.any() else torch.ones_like(where)
        assert allowed.flatten()[flat].all()


def test_points_are_spread_over_the_region():
    torch.manual_seed(0)
    region = torch.tensor([[[True, False, True, True]]])
    counts = torch.bincount(sample_points(region, region, 6000)[0], minlength=4)
    assert counts[1] == 0
    assert counts[[0, 2, 3]].tolist() == pytest.approx([2000] * 3, abs=200)


def test_gather_by_hand():
    maps = torch.arange(12.0).view(1, 2, 2, 3)  # channels 0..5 and 6..11
    assert gather(maps, torch.tensor([[4, 0, 4]])).tolist() == [[[4, 10], [0, 6], [4, 10]]]


def test_labels_shrink_by_nearest():
    labels = torch.tensor([[[7, 1, 255, 1], [1, 1, 1, 1]]])
    padding = torch.tensor([[[False, True, True, False], [True, True, True, True]]])
    small, small_padding = shrink_labels(labels, padding, (1, 2))
    assert small.tolist() == [[[7, 255]]] and small.dtype == torch.int64
    assert small_padding.tolist() == [[[False, True]]] and small_padding.dtype == torch.bool


def test_labels_shrink_to_the_middle_of_their_cells():
    labels = torch.arange(64).view(1, 8, 8)
    corners, middles = (shrink_labels(labels, labels < 0, (2, 2), centers)[0] for centers in (False, True))
    assert corners.tolist() == [[[0, 4], [32, 36]]]
    assert middles.tolist() == [[[18, 22], [50, 54]]]  # row and column 2 or 6: half a pixel from the middle


def test_shared_base_class():
    torch.manual_seed(0)
    base = classes([1, 4, 6], [2], [], [4, 6, 9], [3], [2])
    drawn = {tuple(shared_base_class(base)) for _ in range(40)}
    assert drawn == {(4, -1, -1), (6, -1, -1)}


def captured_points(monkeypatch, module, labels, padding, base) -> torch.Tensor:
    """The labels under the points that the similarity loss samples, -1 for padding; 2P x J."""
    taken = []

    def spy(maps, points):
        taken.append(points)
        return gather(maps, points)

    monkeypatch.setattr(similarity, "gather", spy)
    embeddings = torch.randn(len(labels), 32, *labels.shape[1:])
    module.similarity_loss(embeddings, labels, ~padding, base, lambda counts: counts)
    return labels.masked_fill(padding, -1).flatten(1).gather(1, taken[0])


def test_four_fifths_of_the_points_lie_in_the_shared_class(monkeypatch):
    module = PixelSimilarity(32, distillation_weight=0.1, points=100, hidden=32)
    labels = torch.randint(0, 4, (4, 8, 8))
    labels[labels == 3] = VOID
    padding = no_padding(labels)
    padding[:, 6:] = True
    labels[padding] = VOID
    labels[[1, 3]] = torch.where(labels[[1, 3]] == 0, 1, labels[[1, 3]])  # the second pair shares no class 0
    base = classes([0], [1, 2], [0], [1])
    sampled = captured_points(monkeypatch, module, labels, padding, base)
    assert (sampled != -1).all()  # padding is never sampled
    assert (sampled[[0, 2], :80] == 0).all() and (sampled[[0, 2], 80:] != 0).all()
    assert (sampled[[1, 3], :80] == 1).all() and (sampled[[1, 3], 80:] != 1).all()


def test_without_a_shared_class_the_points_lie_in_the_whole_base_region(monkeypatch):
    module = PixelSimilarity(32, distillation_weight=0.1, points=100, hidden=32)
    labels = torch.tensor([0, 1, VOID])[torch.randint(0, 3, (2, 8, 8))]
    sampled = captured_points(monkeypatch, module, labels, no_padding(labels), classes([0, 1], []))
    assert set(sampled[:, :80].flatten().tolist()) == {0, 1}
    assert set(sampled[:, 80:].flatten().tolist()) == {VOID}


# --- similarity loss --------------------------------------------------------------------------------------


class Says(nn.Module):
    """In SimNet's place: "same" with this probability, whatever the pixels."""

    def __init__(self, same: float):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([math.log(1 - same), math.log(same)]))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(*torch.broadcast_shapes(a.shape, b.shape)[:-1], 2)


def opinionated(same: float, **options) -> PixelSimilarity:
    module = PixelSimilarity(32, **{"distillation_weight": 1.0, "points": 5, **options})
    module.simnet = Says(same)
    return module


HALF_BASE = torch.tensor([[[0, VOID]], [[0, VOID]]])  # a pair; each image shows base class 0 and something else


def similarity_of(module: PixelSimilarity, labels: torch.Tensor = HALF_BASE, base=None) -> torch.Tensor:
    embeddings = torch.randn(len(labels), 32, *labels.shape[1:])
    loss = module.similarity_loss(
        embeddings, labels, ~no_padding(labels), base or classes([0], [0]), lambda counts: counts
    )
    return loss.detach()


def test_similarity_loss_by_hand():
    # Of 5 points in each image 4 are of class 0 and 1 is void: 16 pairs are the same, 8 differ, void-void is left out.
    module = opinionated(3 / 4)
    assert float(similarity_of(module)) == pytest.approx((16 * 8 / 24 * -math.log(3 / 4) + 8 * 16 / 24 * 2 * LN2) / 24)
    assert module.counts[-1].tolist() == [8, 16] and module.counts[:-1].sum() == 0


def test_two_void_points_are_not_the_same_class():
    # No base class shared: 4 points of class 0 or 1 and 1 void; all 24 counted pairs differ.
    labels = torch.tensor([[[0, VOID]], [[1, VOID]]])
    module = opinionated(3 / 4)
    loss = similarity_of(module, labels, classes([0], [1]))
    assert module.counts[-1].tolist() == [24, 0]
    assert float(loss) == 0  # different pairs weigh as much as there are same ones: nothing


def test_pairs_are_weighted_over_25_batches():
    module = opinionated(1 / 2)
    one_kind = torch.tensor([[[0, VOID]], [[1, VOID]]]), classes([0], [1])
    similarity_of(module)  # 8 differ, 16 are the same
    for batch in range(1, 26):
        loss = float(similarity_of(module, *one_kind))  # 24 differ
        same, different = (16, 8 + 24 * batch) if batch < 25 else (0, 24 * 25)
        assert module.counts.sum(0).tolist() == [different, same]
        assert loss == pytest.approx(same / (same + different) * LN2, abs=1e-7)


def test_counts_are_saved_with_the_module():
    module = opinionated(1 / 2)
    similarity_of(module)
    other = opinionated(1 / 2)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.counts, module.counts) and module.counts.shape == (25, 2)


def test_only_simnet_learns_from_the_similarity_loss():
    module = PixelSimilarity(32, distillation_weight=0.1, points=10, hidden=32)
    embeddings = torch.randn(2, 32, 4, 4, requires_grad=True)
    logits = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 3, 4, 4, requires_grad=True)
    labels = torch.tensor([0, VOID])[torch.randint(0, 2, (2, 4, 4))]
    arguments = labels, no_padding(labels), classes([0], [0]), classes([], []), torch.tensor([1, 2])
    losses = module(*logits, embeddings, *arguments)
    assert losses["similarity"] > 0 and losses["distillation"] == 0
    sum(losses.values()).backward()
    assert embeddings.grad is None
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert all(value.grad is None or (value.grad == 0).all() for value in logits)


# --- distillation -----------------------------------------------------------------------------------------


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


def distill(module: PixelSimilarity, scores, novel, labels=None, novel_classes=(1, 2)) -> torch.Tensor:
    class_logits, mask_logits = scores
    labels = torch.full((len(novel), 1, mask_logits.shape[-1]), VOID) if labels is None else labels
    embeddings = torch.randn(len(novel), 32, *labels.shape[1:])
    return module.distillation_loss(
        class_logits, mask_logits, embeddings, labels == VOID, novel, torch.tensor(novel_classes), lambda counts: counts
    )


def test_the_student_compares_pixels_across_the_pair():
    # Novel scores along (1, 0) in the first image and (1, 1) in the second: their cosine is 1 / sqrt(2).
    # Within an image every two pixels agree, which the released code would have seen: -0.4 log 2.
    scores = novel_scores([0.0, 5.0, -40.0, 1.0], [0.0, 2.0, 2.0, 1.0])
    loss = distill(opinionated(0.9, distillation="cce"), scores, classes([1], [1]))
    assert float(loss) == pytest.approx(-0.4 * math.log(1 + 1 / math.sqrt(2)), rel=1e-4)
    loss = distill(opinionated(0.2, distillation="cce"), scores, classes([1], [1]))
    assert float(loss) == pytest.approx(-0.3 * math.log(2 - 1 / math.sqrt(2)), rel=1e-4)
    loss = distill(opinionated(0.9, distillation="ce"), scores, classes([1], [1]))
    s = 1 / math.sqrt(2)
    assert float(loss) == pytest.approx(-0.9 * math.log(s) - 0.1 * math.log(1 - s), rel=1e-4)


def test_student_scores_are_class_scores_times_masks_summed_over_queries():
    # Query 0 speaks for novel class 1 with 3/4 and covers 1/2 of a pixel, query 1 for class 2 with 1/2 and all of it.
    class_logits = torch.tensor([[[1e-9, 3.0, 1e-9, 1.0], [1e-9, 1e-9, 1.0, 1.0]]] * 2).log()
    mask_logits = torch.tensor([[[[0.0]], [[40.0]]]] * 2)
    class_logits[1, 1] = class_logits[0, 0]  # the second image speaks for class 1 alone
    a = (3 / 4 * 1 / 2, 1 / 2 * 1)
    cosine = a[0] / math.hypot(*a)
    loss = distill(opinionated(0.9), (class_logits, mask_logits), classes([1], [1]))
    assert float(loss) == pytest.approx(-0.4 * math.log(1 + cosine), rel=1e-4)


def test_only_pairs_that_share_a_novel_class_count():
    # Pairs (0, 2) and (1, 3); the first shares class 2, the second shares nothing.
    scores = novel_scores([0.0, 5.0, 5.0, 1.0], [0.0, 9.0, -9.0, 1.0], [0.0, 5.0, -40.0, 1.0], [0.0, -9.0, 9.0, 1.0])
    expected = -0.4 * math.log(1 + 1 / math.sqrt(2))
    novel = classes([1, 2], [1], [2], [2])
    assert float(distill(opinionated(0.9), scores, novel)) == pytest.approx(expected, rel=1e-4)
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


def test_a_pair_without_pixels_outside_the_base_masks_is_left_out():
    scores = novel_scores([0.0, 5.0, 5.0, 1.0], [0.0, 3.0, 3.0, 1.0], [0.0, 5.0, -40.0, 1.0], [0.0, 3.0, 3.0, 1.0])
    labels = torch.full((4, 1, 3), VOID)
    labels[3] = 0
    found = distill(opinionated(0.9), scores, classes([1], [1], [1], [1]), labels)
    assert float(found) == pytest.approx(-0.4 * math.log(1 + 1 / math.sqrt(2)), rel=1e-4)
    labels[2] = 0
    assert float(distill(opinionated(0.9), scores, classes([1], [1], [1], [1]), labels)) == 0


def test_padding_is_outside_of_everything():
    # As above, but the pixel that disagrees is padding.
    class_logits = torch.tensor([[[0.0, 40.0, -40.0, 0.0], [0.0, -40.0, 40.0, 0.0]]] * 2)
    mask_logits = torch.tensor([[[[9.0, -40.0]], [[-40.0, 9.0]]], [[[9.0, -40.0]], [[-40.0, 9.0]]]])
    labels = torch.full((2, 1, 2), VOID)
    padding = torch.tensor([[[False, True]], [[False, True]]])
    module = opinionated(0.9, distillation_weight=0.5)
    for _ in range(3):
        losses = module(
            class_logits, mask_logits, torch.randn(2, 32, 1, 2), labels, padding, classes([], []), classes([1], [1]),
            torch.tensor([1, 2]),
        )  # fmt: skip
        assert float(losses["distillation"]) == pytest.approx(0.5 * -0.4 * math.log(2), rel=1e-4)


def test_the_teacher_does_not_learn():
    module = PixelSimilarity(32, distillation_weight=0.1, points=10, hidden=32).train()
    before = {name: value.clone() for name, value in module.simnet.state_dict().items()}
    class_logits = torch.randn(2, 3, 4, requires_grad=True)
    mask_logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    distill(module, (class_logits, mask_logits), classes([1], [1]), torch.full((2, 4, 4), VOID)).backward()
    assert class_logits.grad.abs().sum() > 0 and mask_logits.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.simnet.state_dict().items())
    assert module.simnet.training
