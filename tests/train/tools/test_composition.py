from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from simformer.composition import ComposedPredictor
from simformer.datasets.folder import FolderDataset
from simformer.errors import ConfigError
from simformer.evaluation import ConfusionMatrix
from simformer.segmentation import Segmentation
from train.tools.composition import TRAINED, measure

CLASSES = ("sky", "grass", "cat")
NOISE = {"a": 0, "b": 1, "c": 2, "oracle": 3}
ROLES = {
    "a": ("base", "base", "novel"),
    "b": ("novel", "base", "base"),
    "c": ("base", "novel", "novel"),
    "oracle": ("base",) * 3,
}


class Made:
    """A segmenter whose score maps are noise of its own."""

    device = "cpu"

    def __init__(self, name):
        self.name, self.classes, self.roles = name, CLASSES, ROLES[name]

    def segment(self, image, *, threshold=0.0):
        rng = np.random.default_rng([NOISE[self.name], int(np.asarray(image, dtype=np.int64).sum())])
        maps = rng.uniform(size=(3, 9, 12)).astype(np.float32)
        labels = maps.repeat(4, 1).repeat(4, 2).argmax(0).astype(np.uint8)
        return Segmentation(labels, maps, CLASSES, self.roles, self.name)


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name in ("p0", "p1", "p2"):
        Image.fromarray(rng.integers(0, 256, (36, 48, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(rng.integers(0, 3, (36, 48), dtype=np.uint8)).save(tmp_path / "labels" / f"{name}.png")
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    (tmp_path / "val.txt").write_text("p0\np1\np2\n")
    return FolderDataset(tmp_path, "val.txt")


def scores(segmenter, photos, novel):
    matrix = ConfusionMatrix(3)
    for index in range(len(photos)):
        matrix.update(segmenter.segment(photos.image(index)).labels, np.asarray(photos.label_map(index)))
    return matrix.scores(novel=novel)


def test_each_model_is_left_out_and_composed_from_the_others(photos):
    models = {name: Made(name) for name in ROLES}
    found = measure(models, photos)
    assert found.keys() == {"a", "b", "c"}  # FullyOracle serves, and is not composed
    for name, of_rule in found.items():
        novel = [index for index, role in enumerate(ROLES[name]) if role == "novel"]
        assert of_rule[TRAINED] == scores(models[name], photos, novel)
        others = {other: model for other, model in models.items() if other != name}
        composed = ComposedPredictor(others, ROLES[name])
        assert of_rule["few models"] == scores(composed, photos, novel)


def test_a_model_with_the_same_roles_is_left_out_too(photos):
    twin = Made("a")
    found = measure({"a": Made("a"), "a again": twin, "b": Made("b")}, photos)
    # Both are composed from b alone, which never had cat as novel.
    assert found["a"]["nearest"] == found["a again"]["nearest"] and found["a"]["nearest"].novel == 0
    # Nobody else is there for b but the two, which never had sky as novel.
    assert found["b"]["few models"].novel == 0


def test_one_model_cannot_be_composed(photos):
    with pytest.raises(ConfigError, match="two models"):
        measure({"a": Made("a")}, photos)
