"""Active queries by hand, dropout on and off, and when a network is warned of."""

from __future__ import annotations

import pytest
import torch
from tiny import TINY

from simformer.datasets.folder import FolderDataset
from simformer.model import ModelConfig, Output, SimFormer
from simformer.results import Health
from simformer.splits import custom_split
from train.evaluation.health import active_queries, check_health, described, warning


def test_a_query_is_active_where_it_decides():
    # Two queries of class 0, left and right half; a third of class 1, whose mask is nowhere.
    classes = torch.tensor([[[9.0, 0.0, 0.0], [8.0, 0.0, 0.0], [0.0, 9.0, 0.0]]])
    half = torch.full((1, 4, 8), -9.0)
    half[..., :4] = 9
    masks = torch.cat((half, half.flip(-1), torch.full((1, 4, 8), -20.0)))[None]
    output = Output(classes, masks, torch.zeros(1, 1, 4, 8))
    assert active_queries(output, torch.zeros(1, 4, 8, dtype=torch.int64)) == 2
    assert active_queries(output, torch.ones(1, 4, 8, dtype=torch.int64)) >= 1


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_with_and_without_dropout(scenes, dropout):
    torch.manual_seed(0)
    dataset = FolderDataset(scenes)
    config = ModelConfig(num_classes=len(dataset.classes), **TINY, dropout=dropout)
    network = SimFormer(config, pretrained=False).train()
    state = torch.random.get_rng_state()
    found = check_health(network, dataset, custom_split(dataset.classes, ["sky"]), 64)
    assert torch.equal(torch.random.get_rng_state(), state) and network.training
    assert 0 <= found.accuracy <= 1 and found.queries >= 1
    assert (found.accuracy_with_dropout is None) == (found.queries_with_dropout is None) == (not dropout)
    assert found == check_health(network, dataset, custom_split(dataset.classes, ["sky"]), 64)


@pytest.mark.parametrize("accuracy, queries, warned", [
    (0.8, 3.0, False), (0.84, 3.1, False), (0.9, 3.0, True), (0.8, 4.0, True), (0.7, 2.0, False),
])  # fmt: skip
def test_a_network_that_leans_on_dropout_is_warned_of(accuracy, queries, warned):
    health = Health(accuracy=0.8, queries=3.0, accuracy_with_dropout=accuracy, queries_with_dropout=queries)
    assert (warning(health) is not None) == warned
    assert warning(Health(accuracy=0.8, queries=3.0)) is None


def test_a_line_for_the_log():
    health = Health(accuracy=0.8, queries=3.0)
    assert described(health) == "on training photos: 80% of the base pixels right, 3.0 active queries a photo"
    noisy = Health(accuracy=0.8, queries=3.0, accuracy_with_dropout=0.9, queries_with_dropout=4.0)
    assert described(noisy).endswith("; with dropout on 90% of the base pixels right, 4.0 active queries a photo")
    assert described(Health(queries=3.0)) == "on training photos: 3.0 active queries a photo"
