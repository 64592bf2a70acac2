from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from simformer.datasets import examples
from simformer.datasets.examples import example_of, example_scores, list_examples, load_example_truth
from simformer.errors import ConfigError
from simformer.labels import VOID
from simformer.splits import dataset_classes, load_split
from simformer.utils.images import load_image

OUTLINED = [(example, dataset) for example in list_examples() for dataset in example.outlines]


@pytest.fixture
def table(monkeypatch):
    """Puts other examples in the place of the real ones."""
    return lambda *entries: monkeypatch.setattr(examples, "_table", lambda: entries)


def test_the_installed_packages_carry_all_examples():
    assert list_examples() == examples._table()
    assert len({example.name for example in list_examples()}) == len(list_examples()) > 10


@pytest.mark.parametrize("example", list_examples(), ids=lambda example: example.name)
def test_the_files_are_those_that_were_outlined(example):
    assert hashlib.sha256(example.path.read_bytes()).hexdigest() == example.sha256
    assert load_image(example.path).size == example.size
    assert example.license


@pytest.mark.parametrize("example, dataset", OUTLINED, ids=lambda part: getattr(part, "name", part))
def test_outlines_are_inside_their_photo_and_show_their_classes(example, dataset):
    width, height = example.size
    classes = dataset_classes(dataset)
    for rings in example.outlines[dataset].values():
        for ring in rings:
            x, y = np.reshape(ring, (-1, 2)).T
            assert len(x) >= 3
            assert -0.5 <= x.min() and x.max() <= width - 0.5 and -0.5 <= y.min() and y.max() <= height - 0.5
    labels = load_example_truth(example.name, dataset)
    assert labels.shape == (height, width) and labels.dtype == np.uint8
    shown = {classes[index] for index in np.unique(labels) if index != VOID}
    assert shown == set(example.outlines[dataset])
    assert all(np.mean(labels == classes.index(name)) > 0.01 for name in shown)


def test_points_of_photos_that_anybody_can_check():
    def classes_at(name, dataset, *points):
        labels, classes = load_example_truth(name, dataset), (*dataset_classes(dataset), *[None] * 256)
        return [classes[labels[y, x]] for x, y in points]

    assert classes_at("Cat", "msrc21", (170, 110), (440, 30)) == ["cat", None]
    assert classes_at("Temple", "msrc21", (200, 100), (500, 50), (430, 280), (600, 350)) == [
        "building", "sky", "water", "tree",
    ]  # fmt: skip
    assert classes_at("Temple", "msrc21", (107, 210)) == [None]  # between two pillars, a hole in the building
    assert classes_at("Astronaut", "msrc21", (225, 100), (150, 300), (400, 450)) == ["face", "body", None]
    assert classes_at("Astronaut", "nyuv2", (225, 100), (150, 300), (400, 450)) == ["person", "person", None]
    assert classes_at("Coffee", "nyuv2", (550, 200), (290, 120)) == ["table", None]


def test_no_truth_where_nothing_is_outlined():
    assert load_example_truth("Lion", "msrc21") is None
    assert load_example_truth("Cat", "nyuv2") is None
    assert load_example_truth("Cat", "custom") is None
    with pytest.raises(ConfigError, match="no example 'Unicorn'; there are Tower, Temple"):
        load_example_truth("Unicorn", "msrc21")


def test_a_changed_photo_has_no_truth(table):
    cat = next(example for example in list_examples() if example.name == "Cat")
    table(replace(cat, file="data/astronaut.png"))
    assert [example.name for example in list_examples()] == ["Cat"]
    assert load_example_truth("Cat", "msrc21") is None


def test_a_missing_package_only_costs_its_examples(table):
    _, temple, cat, *_ = list_examples()
    table(replace(cat, package="no_such_package"), replace(cat, name="Tail", file="no.png"), temple)
    assert list_examples() == (temple,)
    assert load_example_truth("Cat", "msrc21") is None


def test_a_copy_is_known_by_its_bytes(tmp_path):
    cat = list_examples()[0]
    copy = tmp_path / "upload.png"
    shutil.copy(cat.path, copy)
    assert example_of(copy) is cat
    copy.write_bytes(copy.read_bytes() + b"\0")
    assert example_of(copy) is None


def test_packages_are_not_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    assert list_examples()
    assert "sklearn" not in sys.modules


def test_scores_of_a_model_that_calls_everything_sky():
    split = load_split("msrc21", "s1")
    sky = split.classes.index("sky")

    def segment(path):
        width, height = load_image(path).size
        return SimpleNamespace(labels=np.full((height, width), sky, np.uint8))

    card = SimpleNamespace(dataset="msrc21", novel=split.novel)
    scores = example_scores(SimpleNamespace(card=card, classes=split.classes, segment=segment))
    assert list(scores) == ["Tower", "Temple", "Cat", "Flower", "Photographer", "Astronaut", "Rocket"]
    assert scores["Rocket"].miou == 100 and scores["Cat"].miou == 0
    share = np.mean(load_example_truth("Tower", "msrc21")[load_example_truth("Tower", "msrc21") != VOID] == sky)
    assert scores["Tower"].per_class[sky] == pytest.approx(100 * share)
    assert scores["Tower"].miou == pytest.approx(50 * share)
