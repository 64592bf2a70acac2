"""Pixel-pixel similarity: SimNet, sampling, and the loss that teaches it, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from opinions import VOID, classes, cross_entropy, no_padding, opinionated
from torch import nn

from simformer import similarity
from simformer.criterion import no_reduce
from simformer.model import Output, Targets
from simformer.similarity import (
    PixelSimilarity,
    SimNet,
    both_orders,
    by_pair,
    gather,
    sample_points,
    shared_base_class,
    shrink_labels,
)

LN2 = math.log(2)


def of_base(labels: torch.Tensor, base: list[torch.Tensor], padding: torch.Tensor | None = None) -> Targets:
    """Targets of images without novel classes."""
    return Targets(labels, no_padding(labels) if padding is None else padding, base, classes(*[[]] * len(base)))


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


def test_images_side_by_side_and_both_orders():
    images = torch.arange(4.0)[:, None, None].expand(4, 3, 2)  # two pairs of three points: images 0 and 2, 1 and 3
    pairs = by_pair(images)
    assert pairs[:, :, 0, 0].tolist() == [[0, 2], [1, 3]]
    a, b = torch.broadcast_tensors(*both_orders(pairs[1]))
    assert a.shape == (2, 3, 3, 2)
    assert (a[0] == 1).all() and (b[0] == 3).all() and (a[1] == 3).all() and (b[1] == 1).all()


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


@pytest.mark.parametrize("count", [1, 2, 6000])
def test_points_are_spread_over_the_region(count):
    torch.manual_seed(0)
    region = torch.tensor([[[True, False, True, True]]]).expand(6000 // count, 1, 4)
    counts = torch.bincount(sample_points(region, region, count).flatten(), minlength=4)
    assert counts[1] == 0
    assert counts[[0, 2, 3]].tolist() == pytest.approx([2000] * 3, abs=200)


def test_no_pixel_comes_twice_where_there_are_enough():
    region = torch.zeros(3, 2, 4, dtype=torch.bool)
    region[0, 0], region[1, 0, :3] = True, True  # four pixels, three, none
    fallback = torch.ones_like(region)
    fallback[2, 1] = False
    for _ in range(20):
        points = sample_points(region, fallback, 4)
        assert sorted(points[0].tolist()) == sorted(points[2].tolist()) == [0, 1, 2, 3]
        assert set(points[1].tolist()) <= {0, 1, 2}
    assert sample_points(region, fallback, 9).shape == (3, 9)  # more points than pixels


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
    module.similarity_loss(embeddings, of_base(labels, base, padding), no_reduce)
    return labels.masked_fill(padding, -1).flatten(1).gather(1, taken[0])


def test_four_fifths_of_the_points_lie_in_the_shared_class(monkeypatch):
    module = PixelSimilarity(32, novel_classes=(1, 2), distillation_weight=0.1, points=100, hidden=32)
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
    module = PixelSimilarity(32, novel_classes=(1, 2), distillation_weight=0.1, points=100, hidden=32)
    labels = torch.tensor([0, 1, VOID])[torch.randint(0, 3, (2, 8, 8))]
    sampled = captured_points(monkeypatch, module, labels, no_padding(labels), classes([0, 1], []))
    assert set(sampled[:, :80].flatten().tolist()) == {0, 1}
    assert set(sampled[:, 80:].flatten().tolist()) == {VOID}


# --- similarity loss --------------------------------------------------------------------------------------


HALF_BASE = torch.tensor([[[0, VOID]], [[0, VOID]]])  # a pair; each image shows base class 0 and something else


def similarity_of(
    module: PixelSimilarity, labels: torch.Tensor = HALF_BASE, base=None, across_workers=no_reduce
) -> torch.Tensor:
    embeddings = torch.randn(len(labels), 32, *labels.shape[1:])
    loss = module.similarity_loss(embeddings, of_base(labels, base or classes([0], [0])), across_workers)
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


@pytest.mark.parametrize("pairs, batches", [(1, 25), (2, 13), (4, 7), (25, 1), (60, 1)])
def test_whole_batches_that_hold_25_image_pairs_are_counted(pairs, batches):
    module = opinionated(1 / 2, pairs=pairs)
    labels = HALF_BASE.repeat_interleave(pairs, 0)
    similarity_of(module, labels, classes(*[[0]] * 2 * pairs))  # 8 differ, 16 are the same, of every image pair
    for _ in range(batches - 1):
        similarity_of(module, torch.full_like(labels, VOID), classes(*[[]] * 2 * pairs))
    assert module.counts[-batches].tolist() == [8 * pairs, 16 * pairs]
    assert module.balance(torch.zeros(2)).tolist() == [0, 0]  # now they are too long ago


def test_every_image_pair_counts_alike_in_both_orders():
    # In the first pair the input's channel is less, so the two orders are answered differently; of its points 16 pairs
    # are the same, 8 differ. The second pair has no base pixel: nothing of it counts.
    labels = torch.tensor([[[0, VOID]], [[VOID, VOID]]]).repeat(2, 1, 1)
    embeddings = torch.zeros(4, 32, 1, 2)
    embeddings[2:] = 1
    module = opinionated(3 / 4, 1 / 4, pairs=2)
    targets = of_base(labels, classes([0], [], [0], []))
    found = float(module.similarity_loss(embeddings, targets, no_reduce).detach())
    orders = [
        (16 * 8 / 24 * same + 8 * 16 / 24 * different) / 24 for same, different in map(cross_entropy, (0.25, 0.75))
    ]
    assert found == pytest.approx(sum(orders) / 2 / 2)


def test_an_image_pair_weighs_as_much_as_another_whatever_its_points():
    # 24 of the first pair's 25 pairs of points count, all of the second's, whose images hold class 0 alone.
    labels = torch.tensor([[[0, VOID]], [[0, 0]]]).repeat(2, 1, 1)
    module = opinionated(3 / 4, pairs=2)
    found = float(similarity_of(module, labels, classes([0], [0], [0], [0])))
    same, different = (weight * loss for weight, loss in zip((8 / 49, 41 / 49), cross_entropy(3 / 4), strict=True))
    assert module.counts[-1].tolist() == [8, 41]
    assert found == pytest.approx(((16 * same + 8 * different) / 24 + same) / 2)


def test_simnet_sees_one_image_pair_at_a_time():
    module = PixelSimilarity(32, novel_classes=(1, 2), distillation_weight=0.1, points=10, hidden=32, pairs=3)
    calls = []
    module.simnet.register_forward_hook(lambda net, given, logits: calls.append((given, logits)))
    labels = torch.randint(0, 3, (6, 8, 8))
    embeddings = torch.randn(6, 32, 8, 8)
    module.similarity_loss(embeddings, of_base(labels, classes(*[[0, 1, 2]] * 6)), no_reduce)
    assert len(calls) == 3 and module.simnet.blocks[0].inner_norm.num_batches_tracked == 3
    for (a, b), logits in calls:
        assert a.shape == (2, 10, 1, 32) and b.shape == (2, 1, 10, 32) and logits.shape == (2, 10, 10, 2)
        assert torch.equal(a[0, :, 0], b[1, 0]) and torch.equal(a[1, :, 0], b[0, 0])


def test_two_processes_compute_what_one_would():
    labels = torch.tensor([[[0, VOID]], [[1, VOID]], [[0, VOID]], [[2, VOID]]])  # pairs 0 and 2, 1 and 3
    base = classes([0], [1], [0], [2])
    whole = similarity_of(opinionated(3 / 4, pairs=2), labels, base)
    counted = []
    for pair in (0, 1):
        module = opinionated(3 / 4, pairs=2)
        similarity_of(module, labels[pair::2], base[pair::2])
        counted.append(module.counts[-1])
    mean = sum(counted) / 2
    parts = [
        similarity_of(opinionated(3 / 4, pairs=2), labels[pair::2], base[pair::2], lambda _: mean) for pair in (0, 1)
    ]
    assert float(sum(parts) / 2) == pytest.approx(float(whole))
    assert parts[0] != parts[1]


def test_counts_are_saved_with_the_module():
    module = opinionated(1 / 2)
    similarity_of(module)
    other = opinionated(1 / 2)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.counts, module.counts) and module.counts.shape == (25, 2)


def test_only_simnet_learns_from_the_similarity_loss():
    module = PixelSimilarity(32, novel_classes=(1, 2), distillation_weight=0.1, points=10, hidden=32)
    embeddings = torch.randn(2, 32, 4, 4, requires_grad=True)
    logits = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 3, 4, 4, requires_grad=True)
    labels = torch.tensor([0, VOID])[torch.randint(0, 2, (2, 4, 4))]
    losses = module(Output(*logits, embeddings), of_base(labels, classes([0], [0])))
    assert losses["similarity"] > 0 and losses["distillation"] == 0
    sum(losses.values()).backward()
    assert embeddings.grad is None
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert all(value.grad is None or (value.grad == 0).all() for value in logits)
