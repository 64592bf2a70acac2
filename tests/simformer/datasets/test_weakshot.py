"""The training stream: never a novel pixel, the same batch for the same seed and step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from streams import CLASSES, SPLIT, Rows, indices, rows_of, stream
from torch.utils.data import DataLoader

from simformer.datasets.folder import FolderDataset
from simformer.datasets.transforms import TrainTransform
from simformer.datasets.weakshot import WeakShotBatch
from simformer.errors import ConfigError, DatasetError
from simformer.splits import custom_split, load_split


def same(first: WeakShotBatch, second: WeakShotBatch) -> bool:
    """Bit-equal in every field."""
    return (
        torch.equal(first.images, second.images)
        and torch.equal(first.base_labels, second.base_labels)
        and torch.equal(first.padding, second.padding)
        and [labels.tolist() for labels in first.base] == [labels.tolist() for labels in second.base]
        and [labels.tolist() for labels in first.novel] == [labels.tolist() for labels in second.novel]
        and first.pairs == second.pairs
    )


def random_maps(count: int = 6, shape: tuple[int, int] = (20, 28)) -> dict[str, np.ndarray]:
    """Label maps of coarse blocks in which every class and void occur."""
    rng = np.random.default_rng(0)
    blocks = rng.choice([0, 1, 2, 3, 255], (count, shape[0] // 4, shape[1] // 4)).repeat(4, 1).repeat(4, 2)
    return {f"p{index}": labels.astype(np.uint8) for index, labels in enumerate(blocks)}


# --- never a novel pixel ------------------------------------------------------------------------------------


def shuffled(maps: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Novel and void pixels permuted among themselves; base pixels and the classes present stay."""
    result = {}
    for name, labels in maps.items():
        labels = labels.copy()
        hidden = ~np.isin(labels, SPLIT.base)
        labels[hidden] = rng.permutation(labels[hidden])
        result[name] = labels
    return result


@pytest.mark.parametrize("pairing, cache", [("cross", False), ("self", False), ("none", False), ("cross", True)])
def test_shuffling_novel_and_void_pixels_changes_nothing(dataset_root, pairing, cache):
    maps = random_maps()
    root = dataset_root(maps)
    options = {"pairing": pairing, "seed": 7, "steps": 4, "transform": TrainTransform(16)}
    expected = list(stream(FolderDataset(root, cache=cache), **options))
    for seed in range(2):
        changed = shuffled(maps, np.random.default_rng(seed))
        assert all((changed[name] != maps[name]).any() for name in maps)
        dataset_root(changed)
        batches = list(stream(FolderDataset(root, cache=cache), **options))
        assert all(same(batch, other) for batch, other in zip(expected, batches, strict=True))


def test_that_test_can_fail(dataset_root):
    maps = random_maps()
    options = {"crop_labels": "crop", "transform": TrainTransform(4, (1, 1))}
    released = list(stream(FolderDataset(dataset_root(maps)), **options))
    changed = shuffled(maps, np.random.default_rng(0))
    again = list(stream(FolderDataset(dataset_root(changed)), **options))
    assert not all(same(batch, other) for batch, other in zip(released, again, strict=True))


def test_strict_transforms_never_see_a_novel_class(dataset):
    transform = Rows()
    list(stream(dataset(random_maps()), transform))
    assert transform.seen == {0, 2, 255}


# --- what a batch holds -------------------------------------------------------------------------------------


def test_a_batch(dataset):
    data = dataset({"a": rows_of([0, 3, 2, 1]), "b": rows_of([2, 3])})
    batch = stream(data, pairing="none", batch=2)[0]
    order = [0, 1] if torch.equal(batch.images[0].byte(), data.image(0)) else [1, 0]
    assert torch.equal(batch.images[order], torch.stack([data.image(0), data.image(1)]).float())
    assert batch.images.dtype == torch.float32 and batch.base_labels.dtype == torch.int64
    expected = torch.full((2, 8, 8), 255)
    expected[0, 0], expected[0, 2], expected[1, 0] = 0, 2, 2
    assert torch.equal(batch.base_labels[order], expected)
    assert not batch.padding.any() and batch.padding.dtype == torch.bool
    assert [batch.base[i].tolist() for i in order] == [[0, 2], [2]]
    assert [batch.novel[i].tolist() for i in order] == [[1, 3], [3]]
    assert batch.base[0].dtype == batch.novel[0].dtype == torch.int64
    assert batch.pairs == 0


def test_strict_labels_are_the_images_and_crop_labels_the_crops(dataset):
    data = dataset({"a": rows_of([0, 1, 0, 0, 2, 3])})
    strict = stream(data, Rows(4), pairing="none", batch=1)[0]
    released = stream(data, Rows(4), pairing="none", batch=1, crop_labels="crop")[0]
    assert strict.novel[0].tolist() == [1, 3] and released.novel[0].tolist() == [1]
    for batch in (strict, released):
        assert batch.base[0].tolist() == [0]
        assert batch.base_labels.unique().tolist() == [0, 255]


def test_novel_classes_that_have_no_pixels_at_all(dataset):
    rows = [("a", "dog"), ("b", "grass"), ("b", "dog")]
    data = dataset({"a": rows_of([0, 2]), "b": None}, rows)
    batch = stream(data, Rows(6), pairing="none", batch=2)[0]
    labels = [(base.tolist(), novel.tolist()) for base, novel in zip(batch.base, batch.novel, strict=True)]
    assert sorted(labels) == [([], [1, 3]), ([0, 2], [3])]
    assert (batch.base_labels[[not len(base) for base in batch.base]] == 255).all()


def test_a_base_class_needs_a_mask(dataset):
    data = dataset({"a": rows_of([0]), "b": None}, [("b", "dog"), ("b", "cat")])
    with pytest.raises(DatasetError, match=r"photo 'b' of .* shows the base class 'cat' but has no label"):
        stream(data)


def test_all_base_has_no_novel_labels(dataset):
    data = dataset(random_maps())
    split = custom_split(CLASSES, [])
    batch = stream(data, split=split, pairing="none")[0]
    assert all(len(labels) == 0 and labels.dtype == torch.int64 for labels in batch.novel)
    assert set(batch.base_labels.unique().tolist()) == {0, 1, 2, 3, 255}


def test_pixels_move_and_class_lists_stay(dataset):
    batch = stream(dataset(random_maps()))[0]
    moved = batch.to("meta")
    pixels = (moved.images, moved.base_labels, moved.padding)
    assert {tensor.device.type for tensor in pixels} == {"meta"}
    assert {tensor.device.type for tensor in (*moved.base, *moved.novel)} == {"cpu"}
    assert (moved.pairs, len(moved.base), len(moved.novel)) == (2, 4, 4)
    assert batch.images.device.type == "cpu"
    assert same(batch.to("cpu"), batch)


# --- order, pairs, seeds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairing, inputs_a_step", [("none", 4), ("cross", 2)])
def test_every_epoch_is_a_fresh_permutation(dataset, pairing, inputs_a_step):
    data = dataset(random_maps(count=7))
    steps = 7 * 4 // inputs_a_step  # four epochs, whose ends fall inside a batch
    order = [
        index for batch in stream(data, pairing=pairing, steps=steps) for index in indices(batch, data)[:inputs_a_step]
    ]
    epochs = [order[start : start + 7] for start in range(0, 28, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_references(dataset):
    # grass: a, b, c; dog: d, e; f shows no novel class but shares sky with d.
    contents = {"a": [1], "b": [1, 2], "c": [1], "d": [3, 0], "e": [3], "f": [0]}
    data = dataset({name: rows_of(labels) for name, labels in contents.items()})
    partners = {0: {1, 2}, 1: {0, 2}, 2: {0, 1}, 3: {4}, 4: {3}, 5: {3}}
    found = {index: set() for index in partners}
    for batch in stream(data, steps=40):
        assert batch.pairs == 2
        photos = indices(batch, data)
        for photo, reference in zip(photos[:2], photos[2:], strict=True):
            found[photo].add(reference)
    assert found == partners
    for batch in stream(data, pairing="self"):
        photos = indices(batch, data)
        assert photos[:2] == photos[2:]


def test_self_pairs_are_cropped_independently(dataset):
    batch = stream(dataset(random_maps()), TrainTransform(12), pairing="self")[0]
    assert not torch.equal(batch.images[0], batch.images[2])


def test_a_batch_depends_on_seed_and_step_alone(dataset):
    data = dataset(random_maps())
    transform = TrainTransform(16)
    full = list(stream(data, transform))
    resumed = list(stream(data, transform, start=5))
    assert len(full) == 8 and len(resumed) == 3
    assert all(same(batch, again) for batch, again in zip(full[5:], resumed, strict=True))
    assert same(stream(data, transform)[6], full[6])
    assert same(stream(data, transform, steps=100)[6], full[6])
    assert not same(stream(data, transform, seed=1)[6], full[6])
    assert not same(full[0], full[1])
    with pytest.raises(IndexError):
        stream(data, transform, start=5)[3]


@pytest.mark.parametrize("pairing, batch", [("cross", 8), ("none", 4)])
def test_processes_share_a_batch(dataset, pairing, batch):
    options = {"transform": TrainTransform(16), "pairing": pairing, "batch": batch, "steps": 2}
    data = dataset(random_maps())
    inputs = batch if pairing == "none" else batch // 2
    for step, whole_batch in enumerate(stream(data, **options)):
        for rank in range(2):
            part = stream(data, share=(rank, 2), **options)[step]
            places = list(range(rank * inputs // 2, (rank + 1) * inputs // 2))
            places += [] if pairing == "none" else [inputs + place for place in places]
            assert torch.equal(part.images, whole_batch.images[places])
            assert torch.equal(part.base_labels, whole_batch.base_labels[places])
            assert [part.novel[i].tolist() for i in range(len(places))] == [
                whole_batch.novel[place].tolist() for place in places
            ]
            assert part.pairs == (0 if pairing == "none" else inputs // 2)


def test_workers_see_the_same_batches(dataset):
    batches = stream(dataset(random_maps(), classes=CLASSES), TrainTransform(16), steps=4)
    for workers in (0, 2):
        loaded = list(DataLoader(batches, batch_size=None, num_workers=workers))
        assert all(same(batch, batches[step]) for step, batch in enumerate(loaded))
        assert len(loaded) == 4


def test_torchs_own_randomness_is_left_alone(dataset):
    batches = stream(dataset(random_maps()), TrainTransform(16))
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first = batches[2]
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(99)
    assert same(batches[2], first)


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options, sentence", [
    ({"batch": 3}, "3 images cannot be divided into pairs"),
    ({"batch": 0}, "0 images"),
    ({"batch": 0, "pairing": "none"}, "0 images"),
    ({"pairing": "random"}, "cross, self or none, not 'random'"),
    ({"crop_labels": "loose"}, "strict or crop, not 'loose'"),
    ({"batch": 6, "share": (0, 2)}, "6 images cannot be shared evenly by 2 processes"),
    ({"start": 9}, "step 9 of 8"),
    ({"start": -1}, "step -1 of 8"),
    ({"candidate_caps": (500, 0)}, "at least 1, not 500 and 0"),
])  # fmt: skip
def test_impossible_settings(dataset, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        stream(dataset(random_maps()), **options)


def test_classes_of_another_split(dataset):
    with pytest.raises(DatasetError, match="are not those of the split s1"):
        stream(dataset(random_maps()), split=load_split("msrc21", "s1"))
