"""Parameter groups and the poly schedule."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from simformer.splits import Split
from train.optimization import make_optimizer, poly_schedule
from train.tasks import make_task

SPLIT = Split("custom", "custom", ("a", "b", "c"), (2,))


def group_of(task: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """Parameter name -> (learning rate, weight decay)."""
    names = {id(parameter): name for name, parameter in task.named_parameters()}
    return {names[id(p)]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}


def test_groups(settings):
    config = settings(learning_rate=1e-3, backbone_factor=0.1, classifier_factor=10, weight_decay=0.05)
    task = make_task(config, SPLIT)
    groups = group_of(task, make_optimizer(task, config))
    assert set(groups) == {name for name, p in task.named_parameters() if p.requires_grad}
    expected = {
        "network.backbone.net.conv_stem.weight": (1e-4, 0.05),
        "network.pooled_class_head.weight": (1e-2, 0.05),
        "network.class_head.weight": (1e-3, 0.05),
        "network.class_head.bias": (1e-3, 0.05),
        "network.transformer.queries.weight": (1e-3, 0.0),  # an embedding
        "network.transformer.norm.weight": (1e-3, 0.0),
        "network.transformer.layers.0.norms.2.bias": (1e-3, 0.0),
        "network.transformer.layers.0.self_attention.in_proj_weight": (1e-3, 0.05),
        "network.pixel_decoder.laterals.0.1.weight": (1e-3, 0.0),  # group norm
        "network.pixel_decoder.laterals.0.0.weight": (1e-3, 0.05),
        "similarity.simnet.blocks.0.inner.weight": (1e-3, 0.05),
        "similarity.simnet.blocks.0.inner_norm.weight": (1e-3, 0.0),  # batch norm
    }
    for name, group in expected.items():
        assert groups[name] == pytest.approx(group), name
    assert not any("bn" in name for name in groups)  # the backbone's batch norm is frozen


def test_cam_and_a_frozen_backbone(settings):
    config = settings(
        method="cam",
        model={"backbone": "test_efficientnet"},
        frozen_backbone=True,
        classifier_factor=5,
        learning_rate=1e-3,
    )
    task = make_task(config, SPLIT)
    assert group_of(task, make_optimizer(task, config)) == {"network.classifier.weight": pytest.approx((5e-3, 1e-4))}


def test_poly_schedule_by_hand():
    optimizer = torch.optim.AdamW([{"params": [nn.Parameter(torch.zeros(1))], "lr": 2.0}])
    schedule = poly_schedule(optimizer, 4)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([2, 2 * 0.75**0.9, 2 * 0.5**0.9, 2 * 0.25**0.9, 0])
    assert schedule.get_last_lr() == [0]  # beyond the end it stays there
