"""Drawn scenes: seeded, complete, and a valid data set."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from simformer.datasets.folder import FolderDataset
from simformer.datasets.synthetic import SYNTHETIC_CLASSES, draw_scene, write_scenes
from simformer.datasets.textures import BACKGROUNDS, SHAPES
from simformer.errors import ConfigError


def test_a_data_set_comes_out(tmp_path):
    root = write_scenes(tmp_path / "scenes", 10, seed=3, size=(60, 80), val_share=0.3)
    train, val = FolderDataset(root), FolderDataset(root, "val.txt")
    assert (len(train), len(val)) == (7, 3)
    assert not set(train.names) & set(val.names)
    assert train.classes == SYNTHETIC_CLASSES
    for data in (train, val):
        data.check()
        assert data.image(0).shape == (3, 60, 80)
        assert all(len(labels) >= 3 for labels in data.all_image_labels())


def test_without_masks_it_is_a_folder_before_any_masking(tmp_path):
    masked, labelled = (write_scenes(tmp_path / str(masks), 4, size=(60, 80), masks=masks) for masks in (True, False))
    assert not (labelled / "labels").exists() and not (masked / "image_labels.csv").exists()
    assert FolderDataset(labelled).all_image_labels() == FolderDataset(masked).all_image_labels()
    photo = "images/scene_00003.jpg"
    assert (labelled / photo).read_bytes() == (masked / photo).read_bytes()


def test_the_seed_decides_everything(tmp_path):
    roots = [write_scenes(tmp_path / str(i), 2, seed=seed, size=(40, 48)) for i, seed in enumerate((5, 5, 6))]
    for kind in ("images/scene_00000.jpg", "labels/scene_00001.png"):
        first, same, other = ((root / kind).read_bytes() for root in roots)
        assert first == same != other


def test_every_class_appears_and_the_backgrounds_fill_most():
    scenes = [draw_scene(np.random.default_rng(seed), (96, 128))[1] for seed in range(60)]
    pixels = np.bincount(np.concatenate(scenes, axis=None), minlength=256)
    assert len(SYNTHETIC_CLASSES) >= 8 and len(BACKGROUNDS) >= 2
    assert (pixels[: len(SYNTHETIC_CLASSES)] > 0).all()
    assert pixels[len(SYNTHETIC_CLASSES) : 255].sum() == 0
    assert pixels[: len(BACKGROUNDS)].sum() > 0.5 * pixels.sum()
    assert 0 < pixels[255] < 0.1 * pixels.sum()


def test_labels_lie_where_the_things_are():
    # Both sides of a shape's rim differ in color; if labels were shifted the rim would lie in flat regions.
    edges, elsewhere = [], []
    for seed in range(8):
        photo, labels = draw_scene(np.random.default_rng(seed), (120, 160))
        gray = ndimage.gaussian_filter(photo.mean(2), 1)
        slope = np.hypot(ndimage.sobel(gray, 0), ndimage.sobel(gray, 1))
        edges.append(slope[labels == 255].mean())
        elsewhere.append(slope[labels < len(BACKGROUNDS)].mean())
    assert np.mean(edges) > 2 * np.mean(elsewhere)


def test_photos_are_noisy_and_scenes_differ():
    photos = [draw_scene(np.random.default_rng(seed), (64, 64))[0] for seed in range(4)]
    for photo in photos:
        assert photo.dtype == np.uint8 and photo.shape == (64, 64, 3)
        assert np.abs(np.diff(photo.astype(int), axis=1)).mean() > 1
    assert len({photo.tobytes() for photo in photos}) == 4


@pytest.mark.parametrize("name", SHAPES)
def test_outlines_are_distances(name):
    outline, _ = SHAPES[name]
    v, u = np.mgrid[-1.5:1.5:61j, -1.5:1.5:61j]
    distance = outline(u, v)
    inside = distance < 0
    assert 0.08 < inside.mean() < 0.45
    assert not inside[[0, -1]].any() and not inside[:, [0, -1]].any()
    step = u[0, 1] - u[0, 0]
    slopes = np.hypot(*np.gradient(distance, step))
    near = np.abs(distance) < 0.1
    assert 0.8 < np.median(slopes[near]) < 1.25


@pytest.mark.parametrize("options", [
    {"count": 1},
    {"count": 5, "size": (16, 64)},
    {"count": 5, "val_share": 1.5},
])  # fmt: skip
def test_impossible_wishes(tmp_path, options):
    with pytest.raises(ConfigError, match="cannot draw"):
        write_scenes(tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="cannot make the folder"):
        write_scenes(tmp_path / "x", 2)
