"""How much mask is given: which photos have masks, what a polygon leaves of one, and that no withheld mask is read."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from skimage.measure import approximate_polygon, find_contours
from tiny import NOVEL

from simformer.datasets.folder import FolderDataset
from simformer.errors import ConfigError
from simformer.export.polygons import polygon_of
from simformer.labels import VOID, palette_image
from simformer.results import GivenMasks, read_results, result_name, write_result
from simformer.splits import custom_split
from train.data import load_split_of, open_datasets, pseudo_dataset, training_stream
from train.engine import train
from train.evaluation.health import check_health
from train.masks import coarse_masks, given_photos, masked_photos, showing_base
from train.pseudo.teacher import open_maps, open_teacher
from train.state import STATE, first_difference, fixed_settings
from train.tables.provenance import clash, result_cell
from train.tasks import make_task, method_name

PLUS = {"distill_from": "partial_labels", "pseudo": "partial_labels", "partial_labels": {"steps": 5}}
SHARED = {"mask_share": 0.4, "steps": 4, "batch": 4, "learning_rate": 1e-3, "clip": 1.0}
TRAININGS = {
    "SimFormer+": PLUS,
    "SimFormer (partial labels)": {**PLUS, "pseudo": None},
    "SimFormer": {},
    "Basic Model": {"pairing": "none"},
    "all base, labels": {"pairing": "none", "split": "all_base", "novel": None},
    "FullyOracle, alone": {"pairing": "none", "split": "all_base", "novel": None, "unmasked": "left_out"},
    "coarse": {**PLUS, "mask_corners": 4},
}  # fmt: skip


def opened(config):
    photos, _ = open_datasets(config)
    split = load_split_of(config, photos)
    return photos, split, given_photos(config, photos, split)


# --- which photos -------------------------------------------------------------------------------------------


def test_by_default_all_masks_are_given_as_they_are(settings):
    photos, _, given = opened(settings())
    assert given is photos


def test_a_smaller_share_is_among_a_larger_one(settings):
    photos, split, _ = opened(settings())
    for seed in range(5):
        shares = [set(masked_photos(photos, split, share, seed)) for share in (0.1, 0.25, 0.5, 0.75, 1)]
        assert all(small <= large for small, large in itertools.pairwise(shares))
        assert [len(share) for share in shares] == [1, 2, 4, 6, 8] and shares[-1] == set(showing_base(photos, split))
    assert len({tuple(masked_photos(photos, split, 0.5, seed)) for seed in range(5)}) > 1


def test_every_base_class_keeps_a_mask_where_there_are_photos_enough():
    split = custom_split([f"class {c}" for c in range(5)], ["class 4"])
    # One photo shows class 0, one class 1; the others class 2 or 3, or novel ones alone.
    labels = [(2, 3), (2,), (3, 4), (0,), (2,), (4,), (1, 2), (3,), (2,), (2,), (3,), ()]

    class Photos:
        root = "photos"

        def all_image_labels(self):
            return labels

    for seed in range(10):
        masked = masked_photos(Photos(), split, 0.4, seed)
        assert len(masked) == 4 and not {5, 11} & set(masked)
        assert {c for index in masked for c in labels[index]} >= {0, 1, 2, 3}
    assert masked_photos(Photos(), split, 0.01, 0) == [3]  # of the rarest class
    with pytest.raises(ConfigError, match="no photo of photos shows a base class"):
        masked_photos(Photos(), custom_split(split.classes, split.classes), 0.5, 0)


def test_unmasked_photos_keep_their_image_labels_alone(settings):
    photos, split, given = opened(settings(mask_share=0.4))
    assert given.unmasked and given.unmasked == set(showing_base(photos, split)) - set(
        masked_photos(photos, split, 0.4, 0)
    )
    assert given.all_image_labels() == photos.all_image_labels() and given.labels_digest != photos.labels_digest
    for index in range(len(photos)):
        withheld = index in given.unmasked
        assert given.has_label_map(index) != withheld and (given.label_map(index) is None) == withheld
        assert torch.equal(given.image(index), photos.image(index))
        novel = [c for c in photos.image_labels(index) if withheld or c in split.novel]
        assert given.labels_without_masks(index, split.novel) == novel


def test_unmasked_photos_can_be_left_out(settings):
    photos, split, given = opened(settings(mask_share=0.4, unmasked="left_out"))
    assert not given.unmasked
    assert given.names == [photos.names[index] for index in masked_photos(photos, split, 0.4, 0)]


# --- what a training sees -----------------------------------------------------------------------------------


def test_every_class_of_an_unmasked_photo_is_as_a_novel_one(settings):
    config = settings(mask_share=0.4, batch=8, pairing="none")
    photos, split, given = opened(config)
    batch = training_stream(config, given, split, 0)[0]
    assert batch.unmasked is not None and 0 < int(batch.unmasked.sum()) < 8
    for image, without in enumerate(batch.unmasked.tolist()):
        assert without == bool(set(batch.novel[image].tolist()) & set(split.base))
        if without:
            assert not batch.base[image].numel() and bool((batch.base_labels[image] == VOID).all())
    assert training_stream(settings(), photos, split, 0)[0].unmasked is None


def test_similarity_is_not_learnt_from_unmasked_photos(settings):
    config = settings(batch=4)
    photos, split, _ = opened(config)
    task = make_task(config, split).eval()
    batch = training_stream(config, photos, split, 0)[0]

    def similarity(unmasked):
        torch.manual_seed(0)
        counts = task.similarity.counts.clone()
        found = task(replace(batch, unmasked=unmasked))["similarity"]
        task.similarity.counts.copy_(counts)
        return found.item()

    first, second = similarity(torch.tensor([0, 1, 0, 0]).bool()), similarity(torch.tensor([0, 0, 1, 0]).bool())
    assert similarity(torch.ones(4).bool()) == 0 < max(first, second)
    assert first != second and similarity(None) == similarity(torch.zeros(4).bool()) > 0


def test_a_teacher_tells_all_classes_on_unmasked_photos(settings):
    config = settings(**PLUS, mask_share=0.4)
    _, split, given = opened(config)
    teacher = open_teacher(config, given, split)
    maps = open_maps(config, teacher)
    pseudo = pseudo_dataset(config, given, split, maps)
    for index in range(len(given)):
        present = maps(index).flatten(1).any(1).nonzero().flatten().tolist()
        assert set(present) <= set(given.labels_without_masks(index, split.novel))
        assert len(maps(index)) == len(split.classes)
        labels = set(pseudo.label_map(index).unique().tolist()) - {VOID}
        assert labels <= set(given.image_labels(index))


def scrambled(scenes, names, folder):
    """The data set with the pixels of some label maps in another order: the image-level labels stay what they are."""
    shutil.copytree(scenes, folder)
    rng = np.random.default_rng(0)
    for name in names:
        path = folder / "labels" / f"{name}.png"
        labels = np.array(Image.open(path))
        palette_image(rng.permutation(labels.ravel()).reshape(labels.shape), FolderDataset(folder).classes).save(path)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("training", TRAININGS)
def test_no_training_reads_a_withheld_mask(settings, scenes, tmp_path, training):
    config = settings(**SHARED, **TRAININGS[training], out=tmp_path / "as they are")
    photos, split, _ = opened(config)
    masked = masked_photos(photos, split, config.mask_share, config.seed)
    withheld = [photos.names[index] for index in showing_base(photos, split) if index not in masked]
    given = [photos.names[index] for index in masked]
    runs = {"as they are": scenes}
    runs |= {what: scrambled(scenes, names, tmp_path / f"{what} data") for what, names in
             (("withheld", withheld), ("given", given))}  # fmt: skip
    found = {}
    for name, data in runs.items():
        torch.manual_seed(0)
        outcome = train(config.model_copy(update={"data": data, "out": tmp_path / name}))
        found[name] = torch.load(tmp_path / name / STATE, weights_only=True)["task"], outcome.scores, outcome.health
    assert same(found["as they are"][0], found["withheld"][0]) and found["as they are"][1:] == found["withheld"][1:]
    assert not same(found["as they are"][0], found["given"][0])


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_health_looks_at_given_masks_alone(settings):
    config = settings(mask_share=0.4)
    _, split, given = opened(config)
    network = make_task(config, split).network
    some = given_photos(config.model_copy(update={"unmasked": "left_out"}), open_datasets(config)[0], split)
    accuracies = [check_health(network, photos, split, config.image_size).accuracy for photos in (given, some)]
    assert accuracies[0] == accuracies[1] is not None


# --- coarse masks -------------------------------------------------------------------------------------------

TWO = custom_split(["field", "cow", "sky"], ["sky"])


def disc(size=41, radius=15):
    y, x = np.mgrid[:size, :size] - size // 2
    return y**2 + x**2 <= radius**2


@pytest.mark.parametrize("corners", [3, 4, 8, 20])
def test_an_outline_has_few_corners(corners):
    wavy = disc() & ~(np.add.outer(np.arange(41), np.arange(41)) % 7 == 0)
    wavy = wavy | disc(radius=12)
    assert 3 <= len(polygon_of(wavy, corners)) <= corners
    coarse = coarse_masks(torch.from_numpy(np.where(disc(), 1, VOID).astype(np.uint8)), TWO, corners)
    assert set(coarse.unique().tolist()) <= {1, VOID}
    [contour] = find_contours(np.pad(coarse.numpy() == 1, 1).astype(float), 0.5)
    assert len(approximate_polygon(contour, 1.0)) - 1 <= corners + 2  # the pixels' own steps aside


def test_more_corners_are_nearer_to_the_mask():
    labels = torch.from_numpy(np.where(disc(), 1, VOID).astype(np.uint8))
    differing = [int((coarse_masks(labels, TWO, corners) != labels).sum()) for corners in (3, 5, 8, 16)]
    assert differing == sorted(differing, reverse=True) and differing[-1] < 0.06 * (labels == 1).sum()


def test_a_rectangle_is_a_polygon_already():
    labels = torch.full((30, 40), VOID, dtype=torch.uint8)
    labels[5:20, 8:33] = 0
    assert torch.equal(coarse_masks(labels, TWO, 4), labels)


def test_what_lies_on_a_region_stays_on_it_and_holes_stay_open():
    labels = torch.zeros((40, 40), dtype=torch.uint8)
    labels[5:15, 5:15] = 1
    labels[25:35, 25:35] = VOID
    assert torch.equal(coarse_masks(labels, TWO, 4), labels)


def test_novel_regions_are_not_seen():
    labels = torch.zeros((40, 40), dtype=torch.uint8)
    labels[:, 20:] = 2
    unknown = labels.masked_fill(labels == 2, VOID)
    assert torch.equal(coarse_masks(labels, TWO, 4), coarse_masks(unknown, TWO, 4))
    assert 2 not in coarse_masks(labels, TWO, 4)


def test_a_region_too_small_for_a_polygon_is_void():
    labels = torch.full((20, 20), VOID, dtype=torch.uint8)
    labels[4, 1:18] = 1
    labels[10, 10] = 0
    assert polygon_of(np.ones((1, 1), bool), 8) is polygon_of(np.ones((1, 9), bool), 8) is None
    assert set(coarse_masks(labels, TWO, 8).unique().tolist()) == {VOID}
    labels[12:18, 12:18] = 1
    assert int((coarse_masks(labels, TWO, 8) == 1).sum()) == 36


def test_coarse_masks_are_drawn_once(settings, monkeypatch):
    config = settings(mask_corners=4)
    photos, split, given = opened(config)
    assert given.labels_digest != photos.labels_digest
    changed = [not torch.equal(given.label_map(i), coarse_masks(photos.label_map(i), split, 4)) for i in range(8)]
    assert not any(changed)
    monkeypatch.setattr("train.masks.coarse_masks", None)
    assert given.label_map(0) is given.label_map(0)


# --- settings and results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("changes, sentence", [
    ({"mask_share": 0}, "greater than 0"),
    ({"mask_share": 1.5}, "less than or equal to 1"),
    ({"mask_corners": 2}, "a polygon has at least 3 corners"),
    ({"mask_corners": -1}, "greater than or equal to 0"),
    ({"unmasked": "dropped"}, "labels"),
    ({"mask_share": 0.5, "label_rule": "crop"}, "are for label_rule=strict"),
    ({"mask_corners": 8, "label_rule": "crop"}, "are for label_rule=strict"),
    ({"mask_share": 0.5, "pairing": "none", "pseudo": "cam", "teacher": "cam"}, "without pseudo masks"),
])  # fmt: skip
def test_settings_that_cannot_be(settings, changes, sentence):
    with pytest.raises(ValidationError, match=sentence):
        settings(**changes)


def test_who_reads_these_settings(settings):
    assert {"mask_share", "mask_corners", "unmasked"} <= settings(method="cam", model={}).unread
    assert "unmasked" in settings().unread and "mask_share" not in settings().unread
    assert "unmasked" not in settings(mask_share=0.5).unread
    oracle = {"split": "all_base", "novel": None}
    assert {"points", "distillation_weight"} <= settings(**oracle, mask_share=0.5, unmasked="left_out").unread
    assert not {"points", "distillation_weight"} & settings(**oracle, mask_share=0.5).unread


def test_older_runs_had_all_masks(settings):
    saved = fixed_settings(settings())
    for name in ("mask_share", "mask_corners", "unmasked"):
        saved.pop(name)
    assert first_difference(saved, settings()) is None
    assert first_difference(saved, settings(unmasked="left_out")) is None
    assert first_difference(saved, settings(mask_share=0.5)) == "mask_share"
    assert first_difference(saved, settings(mask_corners=8)) == "mask_corners"


@pytest.mark.parametrize("changes, name", [
    ({}, "SimFormer"), ({"mask_share": 0.5}, "SimFormer"), ({"mask_share": 0.5, **PLUS}, "SimFormer+"),
    ({"split": "all_base", "novel": None, "mask_share": 0.5, "unmasked": "left_out"}, "FullyOracle"),
    ({"split": "all_base", "novel": None, "mask_share": 0.5, "pairing": "none"}, "Basic Model"),
])  # fmt: skip
def test_names_of_methods(settings, changes, name):
    config = settings(**changes)
    assert method_name(config, opened(config)[1]) == name


def test_a_result_with_fewer_masks_is_another_cell(settings, tmp_path):
    config = settings(steps=1)
    outcome = train(config)
    whole = result_cell(config, outcome, "train")
    assert whole.masks is None
    variants = [
        result_cell(settings(steps=1, **changes), outcome, "train")
        for changes in ({"mask_share": 0.25}, {"mask_share": 0.25, "unmasked": "left_out"}, {"mask_corners": 8})
    ]
    assert variants[0].masks == GivenMasks(share=0.25)
    stems = [result_name(cell).removesuffix(".json") for cell in (whole, *variants)]
    assert stems[1:] == [f"{stems[0]}_{end}" for end in ("masks25", "masks25-alone", "corners8")]
    for cell in (whole, *variants):
        assert clash(cell, tmp_path / "results") is None
        write_result(cell, tmp_path / "results")
    assert [cell.masks for cell in read_results(tmp_path / "results")] == [None]
    assert len(read_results(tmp_path / "results", part_masked=True)) == 4
    assert GivenMasks.noted({"mask_share": 0.25, "method": "cam"}) is GivenMasks.noted({}) is None
    assert NOVEL == whole.novel
