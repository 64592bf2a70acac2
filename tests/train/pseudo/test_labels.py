"""Pseudo masks: base masks stay, novel ones only where image-level labels allow, nothing of the novel truth is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import NOVEL

from simformer.checkpoint import load_checkpoint, save_checkpoint
from simformer.datasets.folder import FolderDataset
from simformer.datasets.weakshot import given_masks
from simformer.errors import CheckpointError, ConfigError
from simformer.labels import VOID
from simformer.splits import custom_split
from train.engine import train
from train.pseudo.cam import CamMaps, CamSettings
from train.pseudo.kinds import MAP_MAKERS
from train.pseudo.labels import (
    SavedMaps,
    arg_max_in_rest,
    choose_threshold,
    keep_labelled,
    write_pseudo_labels,
)
from train.tables.provenance import result_cell
from train.tasks import second_training_name

CAM_MODEL = {"backbone": "test_efficientnet"}


def labels(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.uint8)


def dataset_of(folder, photos: dict[str, list[list[int]]], classes: list[str]) -> FolderDataset:
    """A data set of label maps on black photos."""
    for name, rows in photos.items():
        values = np.array(rows, dtype=np.uint8)
        for kind, image in (("images", Image.new("RGB", values.shape[::-1])), ("labels", Image.fromarray(values))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            image.save(folder / kind / f"{name}.png")
    (folder / "classes.txt").write_text("\n".join(classes))
    return FolderDataset(folder, None)


# --- what fills the rest ----------------------------------------------------------------------------------


def test_predictions_are_kept_where_labels_name_them():
    given = labels([0, 255, 255, 255, 255])
    predicted = labels([2, 2, 3, 0, 255])  # base 0; novel 2 and 3, the photo is labelled with 2
    assert keep_labelled(predicted, given, [2]).tolist() == [[0, 2, 255, 255, 255]]
    assert keep_labelled(predicted, given, []).tolist() == given.tolist()


def test_the_strongest_map_wins_in_the_rest():
    given = labels([0, 255, 255, 255])
    maps = torch.tensor([[[0.9, 0.9, 0.9, 0.9]], [[0.9, 0.6, 0.2, 0.1]], [[0.0, 0.3, 0.5, 0.2]]])
    # Class 0 is base: its map fills nothing. Below 0.3 is void.
    assert arg_max_in_rest(maps, given, [1, 2], 0.3).tolist() == [[0, 1, 2, 255]]
    assert arg_max_in_rest(maps, given, [2], 0.3).tolist() == [[0, 2, 2, 255]]


def test_novel_pixels_become_void():
    split = custom_split(("a", "b", "c"), ["b"])
    image = torch.zeros(3, 1, 4)
    assert given_masks(labels([0, 1, 2, 255]), image.shape[1:], split).tolist() == [[0, 255, 2, 255]]
    assert given_masks(None, image.shape[1:], split).tolist() == [[255] * 4]


# --- the threshold ----------------------------------------------------------------------------------------


def test_threshold_is_the_best_for_base_classes(tmp_path):
    # Base class 0 has 0.62 on its two pixels, the unlabelled ones 0.42 and less: right between is right.
    dataset = dataset_of(tmp_path, {"one": [[0, 0, 255, 255, 1, 1]]}, ["a", "b", "novel"])
    split = custom_split(("a", "b", "novel"), ["novel"])
    maps = torch.zeros(3, 1, 6)
    maps[0] = torch.tensor([0.62, 0.62, 0.42, 0.2, 0.9, 0.9])  # on b's pixels it does not matter: b's mask is given
    maps[1] = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.7, 0.7])
    assert 0.42 < choose_threshold(lambda *_: maps, dataset, split) <= 0.62


def test_photos_without_masks_do_not_choose_the_threshold(tmp_path):
    split = custom_split(("a", "novel"), ["novel"])
    maps = torch.zeros(2, 1, 6)
    maps[0] = torch.tensor([0.42, 0.42, 0.42, 0.1, 0.62, 0.62])  # the mask is on the first three
    dataset = dataset_of(tmp_path, {"one": [[0, 0, 0, 255, 1, 1]]}, ["a", "novel"])
    chosen = choose_threshold(lambda *_: maps, dataset, split)
    for number in range(20):
        Image.new("RGB", (6, 1)).save(tmp_path / "images" / f"listed{number}.png")
    listed = "".join(f"listed{number},a\n" for number in range(20))
    (tmp_path / "image_labels.csv").write_text("photo,class\n" + listed)
    dataset = FolderDataset(tmp_path, None)
    assert len(dataset) == 21 and choose_threshold(lambda *_: maps, dataset, split) == chosen


def test_threshold_does_not_read_novel_pixels(tmp_path):
    classes = ["a", "novel", "other novel"]
    photos = {"one": [[0, 0, 1, 1, 2, 255]]}
    swapped = {"one": [[0, 0, 2, 255, 1, 1]]}
    maps = torch.rand(3, 1, 6, generator=torch.Generator().manual_seed(0))
    split = custom_split(tuple(classes), classes[1:])
    found = [
        choose_threshold(lambda *_: maps, dataset_of(tmp_path / str(i), each, classes), split)
        for i, each in enumerate((photos, swapped))
    ]
    assert found[0] == found[1]


def test_without_base_classes_there_is_no_threshold(tmp_path):
    dataset = dataset_of(tmp_path, {"one": [[0, 1]]}, ["a", "b"])
    with pytest.raises(ConfigError, match="no photo shows a base class"):
        choose_threshold(lambda *_: torch.zeros(2, 1, 2), dataset, custom_split(("a", "b"), ["a", "b"]))


def test_maps_are_made_once(tmp_path):
    dataset = dataset_of(tmp_path / "data", {"one": [[0, 1]]}, ["a", "b", "c"])
    calls = []

    def make(index: int) -> torch.Tensor:
        calls.append(index)
        return torch.tensor([[[0.2, 1.0]], [[0.0, 0.0]], [[0.5, 0.0]]])

    for _ in range(2):
        found = SavedMaps(make, dataset, tmp_path / "maps")(0)
        assert found.flatten().tolist() == pytest.approx([0.2, 1.0, 0, 0, 0.5, 0], abs=1 / 255)
    assert calls == [0]


# --- runs -------------------------------------------------------------------------------------------------


@pytest.fixture
def classifier(settings, tmp_path) -> str:
    train(settings(method="cam", model=CAM_MODEL, out=tmp_path / "cam", steps=1))
    return str(tmp_path / "cam" / "weights.safetensors")


@pytest.fixture
def simformer(settings, tmp_path) -> str:
    train(settings(out=tmp_path / "first", steps=1))
    return str(tmp_path / "first" / "weights.safetensors")


def test_maps_kinds_are_those_of_the_settings():
    assert set(MAP_MAKERS) == {"cam", "rib", "retab"}


@pytest.mark.parametrize("kind, method", [("cam", "WSSS (CAM)"), ("rib", "WSSS (RIB)"), ("retab", "RETAB")])
def test_training_on_maps(settings, classifier, scenes, kind, method):
    config = settings(pseudo=kind, teacher=classifier, pairing="none")
    outcome = train(config)
    cell = result_cell(config, outcome, "command")
    assert cell.method == method and cell.scores.novel is not None
    made = FolderDataset(scenes, "train.txt", label_folder=config.out / "pseudo_labels")
    truth = FolderDataset(scenes, "train.txt")
    novel = {truth.classes.index(name) for name in NOVEL}
    base = set(range(len(truth.classes))) - novel
    for index in range(len(truth)):
        found, right = made.label_map(index), truth.label_map(index)
        given = torch.isin(right, torch.tensor(sorted(base), dtype=torch.uint8))
        assert torch.equal(found[given], right[given])
        assert set(found[~given].unique().tolist()) <= (set(truth.image_labels(index)) & novel) | {VOID}


def test_settings_of_pseudo_masks_reach_their_maker(settings, classifier, monkeypatch):
    asked = []

    def maker(*given, settings, **options):
        asked.append(settings)
        return CamMaps(*given, settings=settings, **options)

    monkeypatch.setitem(MAP_MAKERS, "cam", maker)
    config = settings(pseudo={"kind": "cam", "scales": [0.5, 1]}, teacher=classifier, pairing="none", steps=1)
    cell = result_cell(config, train(config), "command")
    assert asked == [CamSettings(scales=(0.5, 1.0))]
    assert cell.config["pseudo"] == {"kind": "cam", "scales": [0.5, 1.0], "flip": True}


def test_second_training_is_named_after_the_first(settings, simformer):
    config = settings(pseudo="predictions", teacher=simformer, pairing="none")
    assert result_cell(config, train(config), "command").method == "SimFormer*"


def test_interrupted_pseudo_masks_go_on(settings, classifier, scenes, tmp_path):
    config = settings(pseudo="cam", teacher=classifier, pairing="none")
    dataset = FolderDataset(scenes, "train.txt")
    split = custom_split(dataset.classes, NOVEL)
    folder = tmp_path / "masks"
    write_pseudo_labels(config, dataset, split, folder)
    first, *rest = sorted(folder.iterdir())
    wanted = first.read_bytes()
    first.unlink()
    times = [path.stat().st_mtime_ns for path in rest]
    write_pseudo_labels(config, dataset, split, folder)
    assert first.read_bytes() == wanted
    assert [path.stat().st_mtime_ns for path in rest] == times


@pytest.mark.parametrize("changes, message", [
    ({"pseudo": "cam"}, "is no classifier"),
    ({"pseudo": "predictions", "novel": ["sky"]}, "not trained with the roles"),
    ({"pseudo": "predictions", "teacher": "nowhere"}, "neither a weights file nor a model"),
])  # fmt: skip
def test_unfit_teachers(settings, simformer, scenes, tmp_path, changes, message):
    config = settings(**{"teacher": simformer, "pairing": "none", **changes})
    dataset = FolderDataset(scenes, "train.txt")
    with pytest.raises(CheckpointError, match=message):
        write_pseudo_labels(config, dataset, custom_split(dataset.classes, config.novel), tmp_path / "masks")


@pytest.mark.parametrize("changes, message", [
    ({"pseudo": "cam"}, "both `pseudo` and `teacher`"),
    ({"teacher": "cam"}, "both `pseudo` and `teacher`"),
    ({"pseudo": "cam", "teacher": "cam"}, "pairing=none"),
    ({"pseudo": "cam", "teacher": "cam", "method": "cam", "pairing": "none"}, "method=simformer"),
])  # fmt: skip
def test_settings_that_do_not_fit(settings, changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_masks_of_other_settings_are_not_taken_for_these(settings, classifier, scenes, tmp_path):
    dataset = FolderDataset(scenes, "train.txt")
    split = custom_split(dataset.classes, NOVEL)
    write_pseudo_labels(settings(pseudo="cam", teacher=classifier, pairing="none"), dataset, split, tmp_path / "masks")
    origin = tmp_path / "masks" / "origin.json"
    noted = json.loads(origin.read_text())
    assert noted["pseudo"] == {"kind": "cam", "scales": [0.5, 1, 1.5, 2], "flip": True}
    # As it was noted before anything of it could be set.
    origin.write_text(json.dumps(noted | {"pseudo": "cam"}))
    write_pseudo_labels(settings(pseudo="cam", teacher=classifier, pairing="none"), dataset, split, tmp_path / "masks")
    for changes in ({"pseudo": "rib"}, {"pseudo": {"kind": "cam", "flip": False}}, {"seed": 1}):
        config = settings(**{"pseudo": "cam", "teacher": classifier, "pairing": "none", **changes})
        with pytest.raises(ConfigError, match="made with other settings or labels; use another `out`"):
            write_pseudo_labels(config, dataset, split, tmp_path / "masks")


def test_masks_of_other_labels_are_not_taken_for_these(settings, classifier, scenes, tmp_path):
    data = Path(shutil.copytree(scenes, tmp_path / "data"))
    config = settings(pseudo="cam", teacher=classifier, pairing="none")

    def write():
        dataset = FolderDataset(data, "train.txt")
        write_pseudo_labels(config, dataset, custom_split(dataset.classes, NOVEL), tmp_path / "masks")

    write()
    write()
    corrected = FolderDataset(data, "train.txt").label_file(0)
    labels = np.array(Image.open(corrected))
    labels[:2] = 255
    Image.fromarray(labels).save(corrected)
    with pytest.raises(ConfigError, match="or labels; use another `out`"):
        write()


def test_a_teacher_that_cannot_be_named_is_told_at_once(settings, simformer, tmp_path):
    weights, card = load_checkpoint(simformer)
    for training, problem in (({}, None), ({"steps": -1}, "does not tell how it was trained")):
        save_checkpoint(tmp_path / "other.safetensors", weights, card.model_copy(update={"training": training}))
        config = settings(pseudo="predictions", teacher=str(tmp_path / "other.safetensors"), pairing="none")
        if problem is None:
            assert second_training_name(config.teacher) == "SimFormer*"  # converted from the authors' weights
            continue
        with pytest.raises(ConfigError, match=problem):
            train(config)
        assert not (config.out / "pseudo_labels").exists()
