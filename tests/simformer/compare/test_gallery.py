from __future__ import annotations

import time
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

from simformer.compare.background import Background
from simformer.compare.columns import find_columns
from simformer.compare.gallery import Gallery
from simformer.compare.photos import LoosePhotos, example_photos
from simformer.compare.predictions import Predictions
from simformer.datasets.folder import FolderDataset
from simformer.errors import ConfigError, UnknownClassError
from simformer.evaluation import ConfusionMatrix
from simformer.predictor import Predictor
from simformer.splits import dataset_classes

PAIR = {"split": "s1", "columns": ["CAM", "SimFormer"], "first": "SimFormer", "second": "CAM"}


def made(gallery, view):
    list(gallery.make(gallery.to_make(view)))
    return view


def names(gallery, view):
    return [gallery.photos.names[index] for index in gallery.arrange(view)]


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(Predictor, "load", None)


def test_only_photos_that_show_a_novel_class_are_listed(drawn, no_network):
    view = drawn.view(PAIR)
    assert names(drawn, view) == ["a", "b", "c"]  # d has no cat
    assert drawn.listed(drawn.view({**PAIR, "class_name": "grass"})) == [0, 1, 2, 3]
    assert len(drawn.to_make(view)) == 6


@pytest.mark.parametrize(
    "order, expected", [("first", "abc"), ("second", "cba"), ("difference", "cab"), ("name", "abc")]
)
def test_orders(drawn, no_network, order, expected):
    # SimFormer's IoU of the cat: 100, 50, 0; CAM's: 50, 50, 100.
    view = made(drawn, drawn.view({**PAIR, "order": order}))
    assert "".join(names(drawn, view)) == expected
    assert [drawn.row(view, index).lead for index in range(3)] == [50, 0, -100]


def test_photos_without_a_score_come_last(drawn, no_network):
    view = drawn.view({**PAIR, "order": "second"})
    list(drawn.make([task for task in drawn.to_make(view) if task[1] in (0, 2)]))
    assert names(drawn, view) == ["c", "a", "b"]
    assert drawn.row(view, 1).lead is None


def test_filter_by_expansion_of_the_second(drawn, no_network):
    other_way = {**PAIR, "first": "CAM", "second": "SimFormer"}
    made(drawn, drawn.view(PAIR))
    assert names(drawn, drawn.view({**other_way, "expansion": "under-expanded"})) == ["c"]
    assert names(drawn, drawn.view({**other_way, "expansion": "over-expanded"})) == []  # half is right: not low
    # Of the grass SimFormer finds nothing on b, and too much on c, where half of it is right.
    grass = {**other_way, "class_name": "grass"}
    list(drawn.make([task for task in drawn.to_make(drawn.view(grass)) if task[1] < 3]))
    assert names(drawn, drawn.view({**grass, "expansion": "under-expanded"})) == ["b"]


def test_a_photo_passes_the_filter_where_the_second_covers_much_else(drawn, no_network):
    truth = np.ones((40, 60), dtype=np.uint8)
    truth[:, :15] = 2  # on b SimFormer says cat everywhere: a quarter of it is right
    Image.fromarray(truth).save(drawn.photos.root / "labels" / "b.png")
    view = made(drawn, drawn.view({**PAIR, "first": "CAM", "second": "SimFormer", "expansion": "over-expanded"}))
    assert names(drawn, view) == ["b"]


def test_a_row(drawn, no_network):
    view = made(drawn, drawn.view(PAIR))
    row = drawn.row(view, 0)
    assert (row.name, list(row.cells), row.problem) == ("a", ["CAM", "SimFormer"], "")
    assert [cell.iou for cell in row.cells.values()] == [50, 100]
    [box] = row.boxes  # the lower left quarter, which CAM has not found
    assert box.left == 0 and 0.4 < box.top < 0.5 and 0.5 < box.right < 0.6 and box.bottom == 1
    assert row.cells["CAM"].expansion == {}  # recall is 50 %: not low
    assert drawn.row(view, 2).cells["SimFormer"].expansion == {2: {"under-expanded"}}
    with pytest.raises(ConfigError, match="no photo number 4"):
        drawn.row(view, 4)


def test_scores_are_those_of_the_evaluation(gallery):
    view = made(gallery, gallery.view({"split": "s1"}))
    assert [column.name for column in view.columns] == ["CAM", "WSSS (CAM)", "SimFormer", "SimFormer+", "FullyOracle"]
    assert (view.first.name, view.second.name) == ("SimFormer", "WSSS (CAM)")
    index = gallery.arrange(view)[0]
    row = gallery.row(view, index)
    for column in view.columns:
        matrix = ConfusionMatrix(3)
        image, truth = gallery.photos.sample(index)
        matrix.update(Predictor.load(column.path).segment(image.permute(1, 2, 0).numpy()).labels, truth)
        assert row.cells[column.name].iou == pytest.approx(matrix.scores((2,)).novel)
    leads = [gallery.row(view, index).lead for index in gallery.arrange(view)]
    assert leads == sorted(leads, reverse=True)


def test_kept_predictions_run_no_network_in_the_next_process(gallery, runs, root, monkeypatch):
    view = made(gallery, gallery.view({"split": "s1"}))
    monkeypatch.setattr(Predictor, "load", None)
    again = Gallery(FolderDataset(root, "val.txt"), find_columns(None, [runs]), Predictions(gallery.predictions.folder))
    made(again, again.view({"split": "s1"}))
    assert again.problems(view) == []
    assert again.arrange(view) == gallery.arrange(view)


def test_a_prediction_that_is_gone_is_made_again(gallery):
    view = made(gallery, gallery.view({"split": "s1"}))
    index = gallery.arrange(view)[0]
    before = gallery.row(view, index)
    for file in gallery.predictions.folder.glob("*/*.png"):
        file.unlink()
    after = gallery.row(view, index)
    for name, cell in before.cells.items():
        assert np.array_equal(after.cells[name].labels, cell.labels)


def test_bad_photos_and_bad_weights_are_passed_over_and_said(gallery, root, runs):
    (root / "images" / "scene_00001.jpg").write_bytes(b"broken")
    Image.new("L", (9, 9)).save(root / "labels" / "scene_00003.png")
    view = gallery.view({"split": "s1", "columns": ["CAM", "SimFormer", "FullyOracle"]})
    path = next(column.path for column in view.columns if column.name == "CAM")
    good = path.read_bytes()
    path.write_bytes(good[:-100])
    made(gallery, view)
    problems = " ".join(gallery.problems(view))
    assert "weights.safetensors cannot be read" in problems
    assert "scene_00001.jpg is not an image" in problems
    assert gallery.to_make(view) == []
    row = gallery.row(view, gallery.photos.names.index("scene_00001"))
    assert "not an image" in row.problem and row.image is None
    assert [cell.labels is None for cell in gallery.row(view, 0).cells.values()] == [True, False, False]


def test_a_bad_label_map_does_not_hide_the_others(gallery, root):
    (root / "labels" / "scene_00000.png").write_bytes(b"broken")
    view = made(gallery, gallery.view({"split": "s1"}))
    assert "scene_00000" in names(gallery, view) and len(names(gallery, view)) > 1
    assert "scene_00000.png cannot be read" in gallery.row(view, 0).problem


def test_photos_without_a_truth(runs, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)).save(tmp_path / "mine.png")
    photos = LoosePhotos({"mine": tmp_path / "mine.png", "gone": tmp_path / "gone.png"}, ("sky", "grass", "cat"))
    gallery = Gallery(photos, find_columns(None, [runs]), Predictions(tmp_path / "cache"))
    view = made(gallery, gallery.view({"split": "s1", "expansion": "under-expanded", "class_name": "cat"}))
    assert gallery.listed(view) == [1, 0]
    row = gallery.row(view, 0)
    assert row.truth is None and row.lead is None
    assert all(cell.labels.shape == (30, 40) and cell.iou is None for cell in row.cells.values())
    assert "there is no file" in gallery.row(view, 1).problem


@pytest.mark.parametrize(
    "query, sentence",
    [
        ({"split": "s7"}, "there is no split 's7' here; there is s1"),
        ({"split": "s1", "columns": ["RETAB"]}, "no model of the method 'RETAB'"),
        ({"split": "s1", "first": "CAM", "second": "CAM"}, "two different columns"),
        ({"split": "s1", "first": "Basic Model"}, "no model of the method 'Basic Model'"),
        ({"split": "s1", "order": "worst"}, "the gallery cannot be arranged so: order"),
        ({"split": "s1", "columns": ["x"] * 99}, "the gallery cannot be arranged so: columns"),
        ({"columns": []}, "the gallery cannot be arranged so: split"),
        ({"split": "s1", "left_out": ["CAM"]}, "the gallery cannot be arranged so: left_out"),
    ],
)
def test_bad_queries_are_one_sentence(gallery, query, sentence):
    with pytest.raises(ConfigError, match=sentence):
        gallery.view(query)


def test_an_unknown_class(gallery):
    with pytest.raises(UnknownClassError, match="did you mean 'cat'"):
        gallery.view({"split": "s1", "class_name": "cats"})


def test_one_column_has_nothing_to_be_compared_with(gallery):
    view = made(gallery, gallery.view({"split": "s1", "columns": ["SimFormer"]}))
    assert view.first is view.second is None
    row = gallery.row(view, gallery.arrange(view)[0])
    assert row.lead is None and row.boxes == () and row.cells["SimFormer"].iou is not None


def wait_until(condition):
    latest = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < latest
        time.sleep(0.01)


def test_background_makes_everything_that_is_wanted(gallery):
    background = Background(gallery)
    both = [gallery.view({"split": "s1", "columns": [name]}) for name in ("CAM", "SimFormer")]
    before = background.progress(both[0])
    assert (before.done, before.finished, before.seconds_left) == (0, False, None)
    assert before.total == len(gallery.listed(both[0]))
    for view in (*both, both[0]):
        background.want(view)
    wait_until(lambda: all(background.progress(view).finished for view in both))
    wait_until(lambda: background._thread is None)
    assert background.progress(both[1]).seconds_left is None
    assert gallery.row(both[1], gallery.arrange(both[1])[0]).cells["SimFormer"].labels is not None


def test_the_last_wish_comes_first(drawn, monkeypatch, no_network):
    """And what goes wrong ends neither the thread nor the count."""
    monkeypatch.setattr("simformer.compare.background.AT_A_TIME", 1)
    seen = []
    make = drawn.make
    monkeypatch.setattr(drawn, "make", lambda tasks: seen.extend(tasks) or make(tasks))
    background = Background(drawn)
    monkeypatch.setattr("simformer.compare.background.Thread", Mock())  # it works below, in this one
    background.want(drawn.view({"split": "s1", "columns": ["CAM"]}))
    background.want(drawn.view({"split": "s1", "columns": ["SimFormer"]}))
    background._work()
    assert [column.name for column, _ in seen] == ["SimFormer"] * 3 + ["CAM"] * 3


def test_a_view_that_was_dropped_is_made_for_who_waits_for_it(gallery, monkeypatch):
    monkeypatch.setattr("simformer.compare.background.MOST_WANTED", 2)
    first, *others = (gallery.view({"split": "s1", "columns": [name]}) for name in ("CAM", "SimFormer", "FullyOracle"))
    background = Background(gallery)
    with monkeypatch.context() as patched:
        patched.setattr("simformer.compare.background.Thread", Mock())
        for view in (first, *others):
            background.want(view)
    background._work()
    wait_until(lambda: background.progress(first).finished)


@pytest.mark.filterwarnings("error")
def test_an_unforeseen_error_is_said_and_the_next_view_is_made(gallery, monkeypatch):
    make = gallery.make

    def full(tasks):
        if any(column.name == "CAM" for column, _ in tasks):
            raise RuntimeError("out of memory\nand a long report")
        return make(tasks)

    monkeypatch.setattr(gallery, "make", full)
    background = Background(gallery)
    bad, good = (gallery.view({"split": "s1", "columns": [name]}) for name in ("CAM", "SimFormer"))
    background.want(bad)
    wait_until(lambda: background.progress(bad).finished)
    found = background.progress(bad)
    assert found.failed and found.done == 0
    assert found.problems == ("No more predictions are made, because of an error: out of memory",)
    background.want(good)
    wait_until(lambda: background.progress(good).finished)
    assert not background.progress(good).failed
    monkeypatch.setattr(gallery, "make", make)
    background.want(bad)  # it is tried again
    wait_until(lambda: background.progress(bad).finished)
    assert not background.progress(bad).failed


@pytest.mark.filterwarnings("error")
def test_what_is_written_into_a_sample_stays_there():
    photos = example_photos(dataset_classes("msrc21"))
    number = next(index for index, shown in enumerate(photos.all_image_labels()) if shown)
    labels = photos.sample(number)[1]
    assert labels is not None
    before = labels.clone()
    labels.fill_(0)
    again = photos.sample(number)[1]
    assert again is not None and torch.equal(again, before)


def test_example_photos_have_outlines():
    photos = example_photos(dataset_classes("msrc21"))
    assert {"Cat", "Temple"} <= set(photos.names)
    index = photos.names.index("Cat")
    image, truth = photos.sample(index)
    assert image.shape[1:] == truth.shape
    assert photos.image_labels(index) == (photos.classes.index("cat"),)
    assert not any(example_photos(("sky", "grass", "cat")).all_image_labels())
