"""Boundaries between base masks, drawn by hand, and the loss on them."""

from __future__ import annotations

import math

import pytest
import torch

from train.pseudo.retab.boundary import BoundaryNet, boundary_loss, boundary_target


def target(row: list[int], radius: int = 2) -> list[int]:
    return boundary_target(torch.tensor([row] * 3, dtype=torch.uint8), radius)[1].tolist()


def test_two_pixels_on_either_side_of_a_change():
    assert target([3, 3, 3, 3, 7, 7, 7, 7]) == [0, 0, 1, 1, 1, 1, 0, 0]
    assert target([3, 3, 3, 3, 7, 7, 7, 7], radius=1) == [0, 0, 0, 1, 1, 0, 0, 0]


def test_borders_to_what_has_no_mask_are_neither_boundary_nor_not():
    assert target([3, 3, 3, 3, 255, 255, 255, 255]) == [0, 0, 255, 255, 255, 255, 255, 255]
    # A thin rim without a mask: the other class is within reach of one pixel on either side.
    assert target([3, 3, 3, 3, 255, 7, 7, 7, 7]) == [0, 0, 255, 1, 255, 1, 255, 0, 0]
    assert target([255] * 5) == [255] * 5
    assert target([4] * 5) == [0] * 5


def test_loss_by_hand():
    logits = torch.tensor([[math.log(3.0), math.log(3.0), 0.0, 5.0]])  # probabilities 3/4, 3/4, 1/2
    labels = torch.tensor([[1, 0, 0, 255]], dtype=torch.uint8)
    expected = -math.log(3 / 4) + (-math.log(1 / 4) - math.log(1 / 2)) / 2
    assert boundary_loss(logits, labels).item() == pytest.approx(expected)
    labels[0, 0] = 255
    assert boundary_loss(logits, labels).item() == pytest.approx((-math.log(1 / 4) - math.log(1 / 2)) / 2)
    nothing = boundary_loss(logits.requires_grad_(), torch.full((1, 4), 255, dtype=torch.uint8))
    nothing.backward()
    assert nothing.item() == 0 and logits.grad.eq(0).all()


def test_one_logit_a_cell_and_gradients_from_enlarged_targets():
    network = BoundaryNet((4, 6, 8), (3, 5, 7))
    maps = [torch.randn(1, 4, 6, 7), torch.randn(1, 6, 3, 4), torch.randn(1, 8, 3, 4)]
    logits = network(maps)
    assert logits.shape == (6, 7)
    boundary_loss(logits, torch.randint(0, 2, (48, 56)).byte()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
