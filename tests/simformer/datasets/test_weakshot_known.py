"""What is known of a crop: which photos and crops count, pseudo masks, and a teacher's maps."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from streams import RowByRow, Rows, indices, rows_of, stream

from simformer.datasets.folder import FolderDataset
from simformer.datasets.transforms import TrainTransform
from simformer.errors import DatasetError

ONE = {"pairing": "none", "batch": 1}
VOID = 255


# --- crops are drawn anew while nothing is known of them ----------------------------------------------------


@pytest.mark.parametrize("rows, rule, calls, base, novel", [
    ([VOID, VOID, 0], "strict", 3, [0], []),
    ([VOID, VOID, 0], "crop", 3, [0], []),
    ([VOID, VOID, 3, 0], "strict", 1, [], [3]),  # the photo's label is known, and the crop gets it
    ([VOID, VOID, 3, 0], "crop", 3, [], [3]),
    ([2, 3], "strict", 1, [2], [3]),
])  # fmt: skip
def test_a_crop_of_which_nothing_is_known_is_drawn_anew(dataset, rows, rule, calls, base, novel):
    transform = RowByRow()
    batch = stream(dataset({"a": rows_of(rows)}), transform, crop_labels=rule, **ONE)[0]
    assert transform.calls == calls
    assert (batch.base[0].tolist(), batch.novel[0].tolist()) == (base, novel)


def test_the_fifty_first_crop_is_taken_as_it_is(dataset):
    transform = Rows(7)
    batch = stream(dataset({"a": rows_of([VOID] * 7 + [0])}), transform, **ONE)[0]
    assert transform.calls == 51
    assert (batch.base_labels == VOID).all() and len(batch.base[0]) == 0


def test_of_random_crops_those_with_a_base_pixel(dataset):
    data = dataset({"a": rows_of([2])})
    for batch in stream(data, TrainTransform(4, (2, 2)), steps=50, **ONE):  # quarters of the photo
        assert batch.base[0].tolist() == [2]


# --- photos of which nothing is known are left out ----------------------------------------------------------


@pytest.mark.parametrize("pairing", ["none", "cross", "self"])
def test_photos_of_which_nothing_is_known_are_left_out(dataset, pairing):
    data = dataset({"a": rows_of([0]), "void": rows_of([]), "b": rows_of([0, 3]), "c": rows_of([3])})
    batches = [indices(batch, data) for batch in stream(data, pairing=pairing, batch=2, steps=12)]
    assert {index for batch in batches for index in batch} == {0, 2, 3}
    inputs = [index for batch in batches for index in (batch if pairing == "none" else batch[:1])]
    assert all(sorted(inputs[start : start + 3]) == [0, 2, 3] for start in range(0, 12, 3))  # epochs of three photos


def test_a_label_without_pixels_is_known_unless_labels_are_the_crops(dataset):
    rows = [("listed", "dog"), ("no_map", "dog"), ("a", "dog")]
    data = dataset({"a": rows_of([0, 3]), "listed": rows_of([]), "no_map": None}, rows)
    for rule, kept in (("strict", {0, 1, 2}), ("crop", {0})):
        batches = stream(data, Rows(6), crop_labels=rule, steps=9, **ONE)
        assert {batches._images(step)[0] for step in range(9)} == kept
    with_references = stream(data, Rows(6), crop_labels="crop", batch=2, steps=9)
    assert {tuple(with_references._images(step)) for step in range(9)} == {(0, 0)}


@pytest.mark.parametrize("rule", ["strict", "crop"])
def test_nothing_is_known_at_all(dataset, rule):
    data = dataset({"a": rows_of([]), "b": rows_of([])})
    with pytest.raises(DatasetError, match=r"nothing is known of any photo of .*: no class has a pixel or a label"):
        stream(data, crop_labels=rule)


# --- masks of all classes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["strict", "crop"])
def test_masks_of_all_classes(dataset, rule):
    data = dataset({"a": rows_of([0, 1, VOID, 3])})
    batch = stream(data, Rows(3), crop_labels=rule, masks="all", **ONE)[0]
    assert batch.base_labels[0, :, 0].tolist() == [0, 1, VOID]
    assert batch.base[0].tolist() == [0, 1]
    assert batch.novel[0].tolist() == ([1, 3] if rule == "strict" else [1])


def test_image_labels_that_pseudo_masks_do_not_tell(dataset, tmp_path):
    photos = dataset({"a": rows_of([0, 1, 3])})
    Image.fromarray(rows_of([0, 1])).save(tmp_path / "a.png")
    pseudo = FolderDataset(photos.root, label_folder=tmp_path)
    batch = stream(pseudo, Rows(2), masks="all", photos=photos, **ONE)[0]
    assert batch.base[0].tolist() == [0, 1] and batch.novel[0].tolist() == [1, 3]


@pytest.mark.parametrize("rule, calls", [("strict", 1), ("crop", 2)])
def test_a_pseudo_mask_is_known(dataset, rule, calls):
    transform = RowByRow()
    batch = stream(dataset({"a": rows_of([VOID, 3])}), transform, crop_labels=rule, masks="all", **ONE)[0]
    assert transform.calls == calls and batch.novel[0].tolist() == [3]


# --- a teacher of pixels ------------------------------------------------------------------------------------


def test_a_teachers_maps_follow_their_photos(dataset):
    data = dataset({name: rows_of([0, 3]) for name in "abc"})
    batches = stream(data, teacher=lambda index: torch.full((2, 3, 5), index / 10), steps=6)
    for batch in batches:
        assert batch.teacher.shape == (4, 2, 3, 5) and batch.teacher.dtype == torch.float32
        assert (batch.teacher[:, 0, 0, 0] * 10).round().tolist() == indices(batch, data)
        assert batch.to("meta").teacher.device.type == "meta"
    assert stream(data)[0].teacher is None and stream(data)[0].to("cpu").teacher is None


def test_a_teachers_maps_are_cropped_with_their_photos(dataset):
    # What the teacher says is the column; the photo's left half is of class 0, its right half of class 2.
    labels = rows_of([0] * 8)
    labels[:, 4:] = 2
    data = dataset({"a": labels, "b": labels})
    columns = torch.arange(8.0).expand(1, 8, 8)
    for batch in stream(data, TrainTransform(16, (1, 3)), teacher=lambda _: columns, steps=20):
        assert batch.teacher.shape == (4, 1, 4, 4)
        middles = batch.base_labels[:, 2::4, 2::4]
        right = batch.teacher[:, 0] > 3.5 + 1e-3
        certain = ~batch.padding[:, 2::4, 2::4] & ((batch.teacher[:, 0] - 3.5).abs() > 0.6)
        assert (middles == torch.where(right, 2, 0))[certain].all() and certain.any()


def test_a_crop_that_is_drawn_anew_has_its_own_maps(dataset):
    columns = torch.arange(8.0).expand(1, 8, 8)
    labels = rows_of([])
    labels[:, 6:] = 0
    for batch in stream(dataset({"a": labels}), TrainTransform(4, (2, 2)), teacher=lambda _: columns, steps=20, **ONE):
        assert batch.teacher.shape == (1, 1, 1, 1) and 0 in batch.base[0]
        assert batch.teacher.item() > 3.5  # of a crop that reaches column 6
