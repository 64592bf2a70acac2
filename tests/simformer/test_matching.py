"""Matching: base classes by label and mask, novel classes by label alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simformer.criterion import dice_loss, focal_loss
from simformer.errors import SimFormerError
from simformer.matching import assign, cost_matrix, match, pairwise_dice, pairwise_focal
from simformer.model import Targets

LN2 = math.log(2)


def classes(*lists: list[int]) -> list[torch.Tensor]:
    return [torch.tensor(values, dtype=torch.int64) for values in lists]


def wanted(labels: torch.Tensor, base: list[list[int]], novel: list[list[int]]) -> Targets:
    """Targets of images without padding."""
    return Targets(labels, torch.zeros_like(labels, dtype=torch.bool), classes(*base), classes(*novel))


def random_layer(images: int, queries: int, num_classes: int, size=(4, 6), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        3 * torch.randn(images, queries, num_classes + 1, generator=generator),
        3 * torch.randn(images, queries, *size, generator=generator),
    )


# --- costs ------------------------------------------------------------------------------------------------


def test_focal_by_hand():
    # At logit 0 the sigmoid is 1/2: inside 1/4 (1/2)^2 ln 2, outside 3/4 (1/2)^2 ln 2.
    masks = torch.tensor([[[1.0, 0, 0, 0], [1, 1, 1, 1]]])
    cost = pairwise_focal(torch.zeros(1, 1, 4), torch.full((1, 1, 4), 0.5), masks)
    assert cost[0, 0].tolist() == pytest.approx([(1 / 16 + 3 * 3 / 16) / 4 * LN2, LN2 / 16])


def test_dice_by_hand():
    cost = pairwise_dice(torch.full((1, 1, 4), 0.5), torch.tensor([[[1.0, 1, 0, 0], [0, 0, 0, 0]]]))
    assert cost[0, 0].tolist() == pytest.approx([1 - (2 * 1 + 1) / (2 + 2 + 1), 1 - 1 / (2 + 1)])


@given(st.integers(0, 10_000))
def test_pairwise_costs_are_the_losses(seed):
    generator = torch.Generator().manual_seed(seed)
    # Of costs near zero float32 keeps fewer digits than are compared.
    logits = 5 * torch.randn(1, 3, 12, generator=generator).double()
    masks = (torch.rand(1, 2, 12, generator=generator) < 0.4).double()
    focal, dice = pairwise_focal(logits, logits.sigmoid(), masks), pairwise_dice(logits.sigmoid(), masks)
    for query, mask in itertools.product(range(3), range(2)):
        pair = logits[0, query].view(1, 3, 4), masks[0, mask].view(1, 3, 4)
        assert float(focal[0, query, mask]) == pytest.approx(float(focal_loss(*pair)), rel=1e-4)
        assert float(dice[0, query, mask]) == pytest.approx(float(dice_loss(*pair)), rel=1e-4)


def test_cost_matrix_by_hand():
    class_logits = torch.tensor([[[1.0, 2.0, 1.0]]]).log()  # p = 1/4, 1/2, 1/4 (no object)
    mask_logits = torch.zeros(1, 1, 2, 2)
    base_labels = torch.tensor([[[0, 255], [255, 255]]])
    cost = cost_matrix(class_logits, mask_logits, base_labels, torch.tensor([[0, 1]]), torch.tensor([[True, False]]))
    focal, dice = (1 / 16 + 3 * 3 / 16) / 4 * LN2, 1 - (2 * 0.5 + 1) / (2 + 1 + 1)
    assert cost[0, 0].tolist() == pytest.approx([-1 / 4 + 20 * focal + dice, -1 / 2])


def test_masks_are_compared_at_the_predictions_resolution():
    class_logits, mask_logits = random_layer(1, 3, 2)
    small = torch.randint(0, 2, (1, 4, 6))
    large = small.repeat_interleave(4, 1).repeat_interleave(4, 2)
    targets = torch.tensor([[0, 1]]), torch.tensor([[True, True]])
    assert torch.equal(
        cost_matrix(class_logits, mask_logits, large, *targets), cost_matrix(class_logits, mask_logits, small, *targets)
    )


@given(st.integers(0, 10_000))
def test_pixels_and_masks_never_touch_the_cost_of_a_novel_class(seed):
    generator = torch.Generator().manual_seed(seed)
    class_logits, mask_logits = random_layer(2, 5, 4, seed=seed)
    labels = torch.tensor([0, 1, 255])[torch.randint(3, (2, 8, 12), generator=generator)]
    targets = torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.tensor([[True, True, False], [True, False, False]])
    first = cost_matrix(class_logits, mask_logits, labels, *targets)
    other = torch.tensor([0, 1, 2, 3, 255])[torch.randint(5, (2, 8, 12), generator=generator)]
    second = cost_matrix(class_logits, torch.randn(mask_logits.shape, generator=generator), other, *targets)
    novel = ~targets[1][:, None].expand_as(first)
    assert torch.equal(first[novel], second[novel])
    assert torch.equal(first[0, :, 2], -class_logits[0].softmax(-1)[:, 2])
    assert not torch.equal(first[~novel], second[~novel])


# --- assignment -------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10_000))
def test_the_assignment_is_the_cheapest(queries, targets, seed):
    cost = np.random.default_rng(seed).normal(size=(queries, targets))
    found_queries, found_targets = assign(cost)
    count = min(queries, targets)
    assert len(set(found_queries.tolist())) == len(set(found_targets.tolist())) == count == len(found_queries)
    best = min(
        cost[list(rows), list(columns)].sum()
        for rows in itertools.permutations(range(queries), count)
        for columns in itertools.combinations(range(targets), count)
    )
    assert cost[found_queries, found_targets].sum() == pytest.approx(best)


def test_base_classes_come_first_and_each_query_finds_its_own():
    # Query 2 draws class 5 (base), query 0 says class 1 (novel) and query 3 class 4 (novel).
    class_logits = torch.zeros(1, 4, 7)
    class_logits[0, 0, 1] = class_logits[0, 3, 4] = 9
    mask_logits = torch.full((1, 4, 2, 2), -9.0)
    mask_logits[0, 2, 0] = 9
    base_labels = torch.tensor([[[5, 5], [255, 255]]])
    [[(queries, targets)]] = match([(class_logits, mask_logits)], wanted(base_labels, [[5]], [[1, 4]]))
    assert dict(zip(queries.tolist(), targets.tolist(), strict=True)) == {2: 0, 0: 1, 3: 2}
    assert queries.dtype == targets.dtype == torch.int64


def test_images_with_fewer_classes_than_others():
    layer = random_layer(3, 6, 5)
    labels = torch.tensor([0, 1, 255])[torch.randint(3, (3, 4, 6))]
    base, novel = classes([0, 1], [], [1]), classes([2, 3, 4], [3], [])
    together = match([layer], Targets(labels, labels < 0, base, novel))[0]
    assert [len(queries) for queries, _ in together] == [5, 1, 1]
    for image, (queries, targets) in enumerate(together):
        alone = [values[image : image + 1] for values in layer]
        one = slice(image, image + 1)
        single = match([alone], Targets(labels[one], labels[one] < 0, base[one], novel[one]))[0][0]
        assert torch.equal(queries, single[0]) and torch.equal(targets, single[1])


def test_layers_are_matched_each_for_itself():
    first, second = random_layer(2, 4, 3, seed=1), random_layer(2, 4, 3, seed=2)
    labels = torch.randint(0, 2, (2, 4, 6))
    shared = wanted(labels, [[0, 1], [0, 1]], [[2], [2]])
    both = match([first, second], shared)
    for found, layer in zip(both, (first, second), strict=True):
        for (queries, targets), (q, t) in zip(found, match([layer], shared)[0], strict=True):
            assert torch.equal(queries, q) and torch.equal(targets, t)


def test_more_classes_than_queries():
    [[(queries, targets)]] = match(
        [random_layer(1, 2, 5)], wanted(torch.zeros(1, 4, 6, dtype=torch.int64), [[0]], [[1, 2, 3, 4]])
    )
    assert queries.tolist() == [0, 1] and len(set(targets.tolist())) == 2


def test_images_without_any_class():
    found = match([random_layer(2, 3, 5)] * 2, wanted(torch.full((2, 4, 6), 255), [[], []], [[], []]))
    assert [len(queries) for layer in found for queries, _ in layer] == [0, 0, 0, 0]


def test_predictions_that_are_not_numbers():
    class_logits, mask_logits = random_layer(1, 3, 2)
    class_logits[0, 1, 0] = math.nan
    with pytest.raises(SimFormerError, match="learning rate"):
        match([(class_logits, mask_logits)], wanted(torch.zeros(1, 4, 6, dtype=torch.int64), [[0]], [[1]]))
