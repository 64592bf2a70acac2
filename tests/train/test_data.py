"""Which photos a run reads, and under which roles."""

from __future__ import annotations

import shutil

import pytest

from simformer.errors import ConfigError, DatasetError, UnknownClassError
from simformer.splits import Split, dataset_classes
from train.data import load_split_of, open_datasets, training_stream


def test_training_and_validation_lists(settings):
    train_set, val_set = open_datasets(settings())
    assert len(train_set) == 8 and len(val_set) == 2
    assert not set(train_set.names) & set(val_set.names)
    assert open_datasets(settings(train_list="val.txt"))[0].names == val_set.names


def test_held_out_photos_come_from_the_training_list(settings, scenes, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    (root / "val.txt").unlink()
    for name in [f"scene_{index:05d}" for index in (8, 9)]:  # those of val.txt are not needed at all
        (root / "images" / f"{name}.jpg").unlink()
    kept, held_out = open_datasets(settings(data=root, hold_out=0.25))
    assert len(kept) == 6 and len(held_out) == 2
    assert sorted(kept.names + held_out.names) == (root / "train.txt").read_text().split()
    again = open_datasets(settings(data=root, hold_out=0.25, seed=9, out=tmp_path / "other"))
    assert again[1].names == held_out.names  # the same photos for every run
    with pytest.raises(DatasetError, match=r"val\.txt"):
        open_datasets(settings(data=root))


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_nothing_left(settings, share):
    with pytest.raises(ConfigError, match="leaves nothing"):
        open_datasets(settings(hold_out=share))


def test_splits(settings):
    train_set, _ = open_datasets(settings())
    split = load_split_of(settings(novel=["disc", "sky"], split="cheap"), train_set)
    assert split == Split("custom", "cheap", train_set.classes, (0, 4))
    assert load_split_of(settings(novel=None, split="all_base"), train_set).novel == ()
    with pytest.raises(UnknownClassError, match="disk"):
        load_split_of(settings(novel=["disk"]), train_set)
    msrc = load_split_of(settings(dataset="msrc21", split="s2", novel=None), train_set)
    assert (msrc.dataset, msrc.name) == ("msrc21", "s2")
    with pytest.raises(ConfigError, match="there are no splits of 'msrc22'"):
        load_split_of(settings(dataset="msrc22"), train_set)
    with pytest.raises(ConfigError, match="s77"):
        load_split_of(settings(dataset="msrc21", split="s77", novel=None), train_set)


def test_a_role_set_of_a_data_set_with_splits(settings):
    config = settings(dataset="msrc21", split="r02-1234", novel=["dog", "grass"])
    train_set, _ = open_datasets(config)
    split = load_split_of(config, train_set)
    assert split == Split("msrc21", "r02-1234", dataset_classes("msrc21"), (1, 18))
    with pytest.raises(UnknownClassError, match="disc"):
        load_split_of(settings(dataset="msrc21", split="mine"), train_set)


def test_the_classifier_sees_labels_of_every_class_and_no_mask(settings):
    config = settings(method="cam", batch=3, crop=32)
    train_set, _ = open_datasets(config)
    split = load_split_of(config, train_set)
    batch = training_stream(config, train_set, split, 0)[0]
    assert batch.images.shape == (3, 3, 32, 32) and batch.pairs == 0
    assert (batch.base_labels == 255).all() and not any(len(classes) for classes in batch.base)
    everything = {train_set.image_labels(index) for index in range(len(train_set))}
    assert all(tuple(classes.tolist()) in everything for classes in batch.novel)


def test_the_stream_follows_the_settings(settings):
    config = settings(batch=4, crop=32, steps=7)
    train_set, _ = open_datasets(config)
    split = load_split_of(config, train_set)
    stream = training_stream(config, train_set, split, 3)
    assert len(stream) == 4 and stream[0].pairs == 2
    assert training_stream(settings(batch=4, pairing="none"), train_set, split, 0)[0].pairs == 0
    assert training_stream(config, train_set, split, 3, share=(1, 2))[0].pairs == 1
    with pytest.raises(ConfigError, match="3 processes"):
        training_stream(config, train_set, split, 3, share=(1, 3))
