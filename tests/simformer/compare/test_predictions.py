from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from compared import write_models
from PIL import Image

from simformer.compare.columns import find_columns
from simformer.compare.predictions import Predictions
from simformer.errors import CheckpointError, SimFormerError
from simformer.predictor import Predictor

CLASSES = ("sky", "grass", "cat")


@pytest.fixture
def columns(tmp_path, make_card):
    return find_columns(CLASSES, [write_models(tmp_path / "runs", make_card)])


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png", torch.from_numpy(pixels).permute(2, 0, 1)


def test_a_prediction_is_made_once(columns, photo, tmp_path, monkeypatch):
    predictions = Predictions(tmp_path / "cache")
    assert predictions.known(columns[0], photo[0]) is None
    made = predictions.predict(columns[0], *photo)
    assert np.array_equal(made, Predictor.load(columns[0].path).segment(photo[0]).labels)
    monkeypatch.setattr(Predictor, "load", None)
    assert np.array_equal(Predictions(tmp_path / "cache").predict(columns[0], *photo), made)
    assert predictions.known(columns[1], photo[0]) is None


def test_other_weights_and_another_photo_are_other_predictions(columns, photo, tmp_path):
    predictions = Predictions(tmp_path / "cache")
    predictions.predict(columns[0], *photo)
    os.utime(photo[0], (1, 1))
    assert predictions.known(columns[0], photo[0]) is None
    predictions.predict(columns[0], *photo)
    os.utime(columns[0].path, (1, 1))
    assert predictions.known(columns[0], photo[0]) is not None  # the same bytes
    columns[0].path.write_bytes(columns[1].path.read_bytes())
    assert predictions.known(columns[0], photo[0]) is None


def test_large_photos_are_kept_small(columns, tmp_path):
    Image.new("RGB", (3000, 1000)).save(tmp_path / "large.png")
    labels = Predictions(tmp_path / "cache").predict(
        columns[0], tmp_path / "large.png", torch.zeros(3, 1000, 3000, dtype=torch.uint8)
    )
    assert labels.shape == (341, 1024)


def test_what_was_not_used_for_longest_goes(columns, photo, tmp_path):
    predictions = Predictions(tmp_path / "cache", capacity=10**9)
    for number, column in enumerate(columns):
        predictions.predict(column, *photo)
        os.utime(predictions._file(column, photo[0]), (number, number))
    sizes = [file.stat().st_size for file in predictions.folder.glob("*/*.png")]
    assert predictions.known(columns[0], photo[0]) is not None  # used again
    size = sum(sizes)
    small = Predictions(tmp_path / "cache", capacity=size)
    Image.new("RGB", (60, 40)).save(tmp_path / "other.png")
    small.predict(columns[0], tmp_path / "other.png", torch.zeros(3, 40, 60, dtype=torch.uint8))
    assert sum(file.stat().st_size for file in small.folder.glob("*/*.png")) <= size
    assert small.known(columns[1], photo[0]) is None
    assert small.known(columns[0], photo[0]) is not None
    assert small.known(columns[-1], photo[0]) is not None


def test_a_folder_that_cannot_be_written_is_replaced(columns, photo, tmp_path):
    (tmp_path / "file").write_text("no folder")
    predictions = Predictions(tmp_path / "file" / "cache")
    predictions.predict(columns[0], *photo)
    assert predictions.known(columns[0], photo[0]) is not None


def test_a_damaged_file_is_made_again(columns, photo, tmp_path):
    predictions = Predictions(tmp_path / "cache")
    made = predictions.predict(columns[0], *photo)
    predictions._file(columns[0], photo[0]).write_bytes(b"half")
    assert predictions.known(columns[0], photo[0]) is None
    assert np.array_equal(predictions.predict(columns[0], *photo), made)


def test_what_cannot_be_had_is_one_sentence(columns, photo, tmp_path, monkeypatch):
    predictions = Predictions(tmp_path / "cache")
    columns[0].path.write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        predictions.predict(columns[0], *photo)

    def full(*_):
        raise SimFormerError("cannot write x: the disk is full")

    monkeypatch.setattr("simformer.compare.predictions.atomic_write", full)
    with pytest.raises(SimFormerError, match="the disk is full"):
        predictions.predict(columns[1], *photo)
