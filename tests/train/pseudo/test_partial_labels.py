"""The partial-label teacher: its loss by hand, what labels allow, and novel classes learnt without their masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from simformer.cam import CamConfig, CamNetwork
from simformer.datasets.folder import FolderDataset
from simformer.labels import VOID
from simformer.splits import custom_split
from train.pseudo.partial_labels import PartialLabelSettings, PartialLabelTeacher, partial_label_loss, pseudo_mask


def test_a_base_pixel_is_cross_entropy():
    logits = torch.tensor([[1.0, 2.0, 0.5]])
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([1]))
    assert partial_label_loss(logits, torch.tensor([[0.0, 1.0, 0.0]])).item() == pytest.approx(expected.item())


def test_a_pixel_without_mask_is_any_of_its_labels_or_less_likely_none():
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()[None]  # two novel classes, one base, none
    found = partial_label_loss(logits, torch.tensor([[1.0, 1.0, 0.0, 0.25]]))
    assert found.item() == pytest.approx(-math.log(0.1 + 0.2 + 0.25 * 0.4))
    both = partial_label_loss(logits.repeat(2, 1), torch.tensor([[1.0, 1.0, 0.0, 0.25], [0.0, 0.0, 1.0, 0.0]]))
    assert both.item() == pytest.approx((found.item() - math.log(0.3)) / 2)


def test_pseudo_masks_keep_base_masks_and_leave_none_void():
    given = torch.tensor([[0, VOID, VOID, VOID]], dtype=torch.uint8)
    p = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.9, 0.6, 0.1, 0.3], [0.1, 0.1, 0.2, 0.5], [0.0, 0.3, 0.7, 0.2]])[:, None]
    assert pseudo_mask(p, given).tolist() == [[0, 1, VOID, 2]]


class Colors(torch.nn.Module):
    """In the place of a backbone: the mean colors of 4 x 4 pixels."""

    channels = (3, 3, 3, 3)

    def forward(self, images):
        maps = torch.nn.functional.avg_pool2d(images, 4)
        return [maps] * 4, maps

    def prepare_for_inference(self):
        pass


@pytest.fixture
def teacher(tmp_path):
    """Photos of stripes: red is base class 0, green and blue are novel 1 and 2 (by image labels), gray is void."""
    colors = {0: (200, 20, 20), 1: (20, 200, 20), 2: (20, 20, 200), VOID: (120, 120, 120)}
    photos = {
        "a": [0, 1, VOID],
        "b": [0, 2, VOID],
        "c": [1, 0, VOID],
        "d": [2, 0, VOID],
        "e": [0, 1, 2],
        "f": [VOID, 0],
    }
    for name, stripes in photos.items():
        labels = np.repeat(np.array(stripes, np.uint8), 16)[None].repeat(32, 0)
        pixels = np.array([colors[value] for value in labels.ravel().tolist()], np.uint8).reshape(*labels.shape, 3)
        for kind, values in (("images", pixels), ("labels", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / kind / f"{name}.png")
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n")
    network = CamNetwork(CamConfig(num_classes=3, backbone="test_efficientnet"), pretrained=False)
    network.backbone = Colors()

    def make(seed=0, **settings):
        chosen = PartialLabelSettings(**{"steps": 300, "photos": 6, "points": 20, "learning_rate": 0.05, **settings})
        split = custom_split(("red", "green", "blue"), ["green", "blue"])
        data = FolderDataset(tmp_path, None)
        return PartialLabelTeacher(network, data, split, image_size=32, settings=chosen, seed=seed)

    return make


@pytest.mark.parametrize("views", [{}, {"scales": (1.0, 2.0), "flip": True}])
def test_novel_classes_are_learnt_without_their_masks(teacher, views):
    it = teacher(**views)
    it.fit()
    truth = it.dataset.label_map(4)[2::4, 2::4]  # red, green, blue
    p = it.probabilities(it.dataset.image(4))
    p = torch.nn.functional.interpolate(p[None], truth.shape, mode="area")[0]
    assert (p.argmax(0) == truth).float().mean() > 0.9
    assert torch.allclose(p.sum(0), torch.ones_like(p[0]), atol=1e-5)
    # Gray is in photos of either novel class and of none: it is neither.
    assert int(it.probabilities(it.dataset.image(5))[:, 4, 1].argmax()) == 3


def test_a_photo_is_what_its_labels_allow(teacher):
    it = teacher()
    it.fit()
    p = it(0)  # labelled with green
    assert p[[0, 2]].abs().sum() == 0 and torch.allclose(p.sum(0), torch.ones_like(p[0]), atol=1e-5)
    alone = it(5)  # no novel label: nothing but none
    assert torch.equal(alone[:-1], torch.zeros_like(alone[:-1])) and torch.allclose(alone[-1], torch.ones(()))


def test_the_truth_of_novel_pixels_is_not_read(teacher, tmp_path):
    first = teacher(steps=20)
    first.fit()
    for path in sorted((tmp_path / "labels").iterdir()):  # novel pixels become void, image labels stay
        labels = np.array(Image.open(path))
        names = ["red", "green", "blue"]
        with (tmp_path / "image_labels.csv").open("a") as file:
            file.write("photo,class\n" if path.stem == "a" else "")
            file.writelines(f"{path.stem},{names[value]}\n" for value in np.unique(labels) if value != VOID)
        Image.fromarray(np.where(labels == 0, labels, VOID).astype(np.uint8)).save(path)
    second = teacher(steps=20)
    second.fit()
    assert all(torch.equal(a, b) for a, b in zip(first.tensors().values(), second.tensors().values(), strict=True))


def test_a_seed_is_a_teacher_and_tensors_restore_it(teacher):
    first, again, other = teacher(steps=20), teacher(steps=20), teacher(1, steps=20)
    state = torch.random.get_rng_state()
    for it in (first, again, other):
        it.fit()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.weight, again.weight) and not torch.equal(first.weight, other.weight)
    other.load(first.tensors())
    assert torch.equal(other(2), first(2))
