"""RETAB's maps of drawn scenes: what they keep, what they may read, and that the same seed gives the same."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import NOVEL

from simformer.cam import CamConfig, CamNetwork
from simformer.datasets.folder import FolderDataset
from simformer.datasets.weakshot import base_only
from simformer.errors import CheckpointError
from simformer.labels import VOID
from simformer.splits import custom_split
from train.pseudo.retab.maps import RetabMaps, RetabSettings

FAST = RetabSettings(epochs=1, widths=(4, 4, 8), pairs=50, scales=(1.0,), steps=16)


@pytest.fixture(scope="module")
def classifier(scenes) -> CamNetwork:
    torch.manual_seed(0)
    config = CamConfig(num_classes=len(FolderDataset(scenes).classes), backbone="test_efficientnet")
    return CamNetwork(config, pretrained=False).eval()


def make_maps(classifier, root, **changes) -> RetabMaps:
    dataset = FolderDataset(root)
    split = custom_split(dataset.classes, NOVEL)
    return RetabMaps(classifier, dataset, split, **{"image_size": 80, "settings": FAST, **changes})


@pytest.fixture(scope="module")
def made(classifier, scenes) -> RetabMaps:
    return make_maps(classifier, scenes)


def with_labels(scenes, folder, change):
    """The scenes, with other label maps."""
    root = shutil.copytree(scenes, folder)
    for path in (root / "labels").iterdir():
        Image.fromarray(change(np.array(Image.open(path)))).save(path)
    return root


def test_maps_have_base_masks_and_the_photos_novel_classes(made):
    for index in range(3):
        maps, labels = made(index), made._base_cells(index)
        assert maps.shape == (len(made.split.classes), 10, 14) and maps.dtype == torch.float32
        assert 0 <= maps.min() and maps.max() <= 1
        shown = [label for label in made.dataset.image_labels(index) if label in made.split.novel]
        for label in made.split.novel:
            assert maps[label].max().item() == (label in shown)
        masked = labels != VOID
        for label in made.split.base:
            assert torch.equal(maps[label][masked] == 1, labels[masked] == label)
        assert maps[list(made.split.novel)][:, masked].eq(0).all()


def test_classifier_stays_and_the_same_seed_gives_the_same_maps(classifier, scenes, made):
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    again = make_maps(classifier, scenes)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(again(0), made(0)) and torch.equal(made(0), made(0))
    assert not torch.equal(make_maps(classifier, scenes, seed=1)(0), made(0))
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())


def test_truth_of_novel_pixels_is_never_read(classifier, scenes, made, tmp_path):
    """Novel and void pixels trade places, photo by photo; the base masks and the image-level labels are as before."""
    rng = np.random.default_rng(0)
    split = made.split

    def shuffle(labels):
        hidden = ~np.isin(labels, split.base)
        shuffled = labels.copy()
        shuffled[hidden] = rng.permutation(labels[hidden])
        return shuffled

    other = make_maps(classifier, with_labels(scenes, tmp_path / "shuffled", shuffle))
    assert not torch.equal(other.dataset.label_map(0), made.dataset.label_map(0))
    for index in range(3):
        assert torch.equal(other(index), made(index))


def test_base_masks_are_read(classifier, scenes, made, tmp_path):
    def turn(labels):
        return np.ascontiguousarray(labels[::-1])

    assert not torch.equal(make_maps(classifier, with_labels(scenes, tmp_path / "turned", turn))(0), made(0))


def test_only_base_stays_of_a_label_map(made):
    labels = torch.tensor([[*made.split.base[:2], made.split.novel[0], VOID]], dtype=torch.uint8)
    kept = base_only(labels, made.split)
    assert kept.tolist() == [[*made.split.base[:2], VOID, VOID]] and kept.dtype == torch.uint8


def test_photos_without_label_map_or_novel_class(classifier, scenes, tmp_path):
    root = shutil.copytree(scenes, tmp_path / "mixed")
    names = FolderDataset(scenes).names
    (root / "labels" / f"{names[0]}.png").unlink()
    grass = FolderDataset(scenes).classes.index("grass")
    height, width = FolderDataset(scenes).label_map(1).shape
    Image.fromarray(np.full((height, width), grass, np.uint8)).save(root / "labels" / f"{names[1]}.png")
    (root / "image_labels.csv").write_text(f"photo,class\n{names[0]},disc\n")
    make = make_maps(classifier, root)
    disc = make.split.classes.index("disc")
    assert make(0).amax((-2, -1)).nonzero().flatten().tolist() == [disc]
    assert make(1).amax((-2, -1)).nonzero().flatten().tolist() == [grass]


def test_features_beyond_those_kept_are_made_again(classifier, scenes, made):
    few = make_maps(classifier, scenes, settings=FAST.model_copy(update={"kept_photos": 1}))
    assert len(few._features) == 1
    assert torch.equal(few(2), made(2))


def test_training_teaches_both_networks(classifier, scenes):
    short = make_maps(classifier, scenes, settings=FAST.model_copy(update={"learning_rate": 1e-9}))
    long = make_maps(classifier, scenes, settings=FAST.model_copy(update={"epochs": 20, "learning_rate": 1e-2}))

    @torch.no_grad()
    def losses(made, loss):
        return np.mean([getattr(made, loss)(index).item() for index in range(len(made.dataset))])

    for loss in ("_boundary_loss", "_affinity_loss"):
        assert losses(long, loss) < 0.95 * losses(short, loss)


def test_classes_must_be_the_splits(classifier, scenes):
    with pytest.raises(CheckpointError, match="class"):
        RetabMaps(classifier, FolderDataset(scenes), custom_split(["a", "b"], ["b"]), image_size=64)


def test_a_base_class_can_be_treated_as_novel(made):
    labels = made._base_cells(0)
    label = int(labels[labels != VOID].flatten().mode().values)
    own, others = labels == label, (labels != label) & (labels != VOID)
    maps = made.as_novel(0, label)
    # Its mask is not given back, the other base masks are, and they leave no room for it.
    assert not torch.equal(maps[label][own], torch.ones(int(own.sum())))
    assert maps[label][others].eq(0).all() and torch.equal(maps[:, others].argmax(0), labels[others].long())
    assert torch.equal(made._base_cells(0), labels)
