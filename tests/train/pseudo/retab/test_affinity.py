"""Pairs of cells and what they teach, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from train.pseudo.retab.affinity import AffinityNet, Kinds, affinity, affinity_loss, cell_labels, neighbors, pair_kinds

IS_NOVEL = torch.zeros(256, dtype=torch.bool)
IS_NOVEL[[8, 9]] = True


def test_every_near_pair_once():
    first, second = neighbors(6, 7, 5)
    found = {tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(found) == len(first)
    places = [(y, x) for y in range(6) for x in range(7)]
    expected = {(i, j) for i, a in enumerate(places) for j, b in enumerate(places) if i < j and math.dist(a, b) < 5}
    assert found == expected


def test_thirty_four_pairs_a_cell_far_from_the_rim_and_none_beyond_a_tiny_photo():
    first, second = neighbors(20, 20, 5)
    middle = 10 * 20 + 10
    assert (first == middle).sum() == 34 and (second == middle).sum() == 34
    assert [len(pairs) for pairs in neighbors(1, 1, 5)] == [0, 0]
    assert neighbors(1, 2, 5)[0].tolist() == [0] and neighbors(2, 1, 5)[1].tolist() == [1]


def test_affinity_by_hand():
    embeddings = torch.tensor([[0.0, 0.0], [1.0, 3.0], [0.0, 0.0]])
    values = affinity(embeddings, torch.tensor([0, 0]), torch.tensor([1, 2]))
    assert values.tolist() == pytest.approx([math.exp(-2), 1.0])


def test_cells_outside_base_masks_are_known_by_confident_maps_alone():
    base = torch.tensor([[2, 255, 255, 255, 255]], dtype=torch.uint8)
    maps = torch.tensor([[[0.9, 0.9, 0.1, 0.2, 0.9]], [[0.0, 0.5, 0.4, 0.3, 0.0]]])
    boundary = torch.tensor([[True, False, False, False, True]])
    labels = cell_labels(base, maps, [8, 9], boundary, confident=0.35)
    # a mask outweighs maps and boundary; confident; confident; not confident; on a boundary
    assert labels.tolist() == [[2, 8, 9, 255, 255]]
    assert cell_labels(base, maps[:0], [], boundary, 0.35).tolist() == base.tolist()


def test_kinds_of_pairs():
    labels = torch.tensor([[2, 2, 3, 8, 8, 9, 255]])
    pairs = {
        "equal base": (0, 1), "different base": (1, 2), "base and novel": (2, 3), "equal novel": (3, 4),
        "different novel": (4, 5), "novel and unknown": (5, 6), "base and unknown": (0, 6),
    }  # fmt: skip
    first, second = torch.tensor(list(pairs.values())).t()
    kinds = pair_kinds(labels, IS_NOVEL, first, second)
    names = list(pairs)
    assert [[names[pair] for pair in kind] for kind in kinds] == [
        ["equal base"], ["equal novel"], ["different base", "base and novel", "different novel"]
    ]  # fmt: skip


def test_loss_by_hand():
    # Affinities: 1/2 between cells 0 and 1, 1/4 between 0 and 2, 1/2 between 1 and 2.
    embeddings = torch.tensor([[0.0], [math.log(2)], [2 * math.log(2)]])
    first, second = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2])
    kinds = Kinds(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    expected = -0.25 * math.log(1 / 2) - 0.25 * math.log(1 / 4) - 0.5 * math.log(1 / 2)
    assert affinity_loss(embeddings, kinds, first, second).item() == pytest.approx(expected, abs=1e-4)
    some = Kinds(torch.tensor([0, 1]), torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.int64))
    mean = -0.25 * (math.log(1 / 2) + math.log(1 / 4)) / 2
    assert affinity_loss(embeddings, some, first, second).item() == pytest.approx(mean, abs=1e-4)


def test_network_learns_to_tell_two_regions_apart():
    torch.manual_seed(0)
    network = AffinityNet((4, 6, 8), (3, 5, 7))
    maps = [torch.randn(1, channels, 6, 8) for channels in (4, 6, 8)]
    for one in maps:
        one[..., 4:] += 1
    labels = torch.tensor([[2] * 4 + [3] * 4] * 6)
    first, second = neighbors(6, 8, 3)
    kinds = pair_kinds(labels, IS_NOVEL, first, second)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(100):
        loss = affinity_loss(network(maps), kinds, first, second)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    with torch.no_grad():
        values = affinity(network(maps), first, second)
    assert values[kinds.same_base].mean() > 0.6 > 0.3 > values[kinds.different].mean()
