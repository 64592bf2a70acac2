"""A run's teacher: kept, and never taken for another one's."""

from __future__ import annotations

import pytest
import torch

from train.data import load_split_of, open_datasets
from train.pseudo.teacher import FILE, open_maps, open_teacher, uses_teacher

QUICK = {"distill_from": "partial_labels", "partial_labels": {"steps": 5}}


def opened(config):
    photos, _ = open_datasets(config)
    teacher = open_teacher(config, photos, load_split_of(config, photos))
    return teacher, open_maps(config, teacher)


def test_maps_are_what_the_teacher_said(settings):
    teacher, maps = opened(settings(**QUICK))
    for index in range(3):
        said = teacher(index)
        assert torch.allclose(maps.with_none(index), said, atol=0.01)
        assert torch.allclose(maps(index), said[list(teacher.split.novel)], atol=0.01)
        assert torch.allclose(maps.with_none(index).sum(0), torch.ones(()), atol=1e-5)


def test_a_teacher_is_trained_once(settings, monkeypatch):
    first, _ = opened(settings(**QUICK))
    monkeypatch.setattr("train.pseudo.partial_labels.PartialLabelTeacher.fit", None)
    again, _ = opened(settings(**QUICK))
    assert torch.equal(first.weight, again.weight)


@pytest.mark.parametrize("changes", [
    {"seed": 5}, {"partial_labels": {"steps": 6}}, {"novel": ["sky"]}, {"image_size": 80},
])  # fmt: skip
def test_another_teachers_maps_are_not_taken(settings, changes):
    config = settings(**QUICK)
    opened(config)
    teacher, after = opened(settings(**{**QUICK, **changes}))
    assert torch.allclose(after.with_none(0), teacher(0), atol=0.01)


def test_a_damaged_file_is_made_again(settings):
    config = settings(**QUICK)
    torch.manual_seed(0)  # of the backbone, whose weights are random here
    first, _ = opened(config)
    (config.out / FILE).write_bytes(b"half")
    torch.manual_seed(0)
    again, _ = opened(config)
    assert torch.equal(first.weight, again.weight)


@pytest.mark.parametrize("changes, uses", [
    ({}, False), ({"distill_from": "partial_labels"}, True), ({"pairing": "none", "pseudo": "partial_labels"}, True),
    ({"distill_from": "partial_labels", "novel": []}, False),
])  # fmt: skip
def test_who_has_a_teacher(settings, changes, uses):
    assert uses_teacher(settings(**changes)) == uses
