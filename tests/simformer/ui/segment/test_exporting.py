from __future__ import annotations

import io
import json
import os
import time
import zipfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from simformer.export import FORMATS
from simformer.predictor import Predictor
from simformer.ui import api
from simformer.ui.segment.exporting import KEPT_SECONDS, export_map, format_choices, new_folder


@pytest.fixture
def large_photo(tmp_path):
    """A photo larger than the views, with a wave in it."""
    rows, columns = np.mgrid[:700, :1000]
    pixels = np.stack([rows % 256, columns % 256, (rows + columns) % 256], -1).astype(np.uint8)
    path = tmp_path / "wide.png"
    Image.fromarray(pixels).save(path)
    return path


def test_label_png_has_the_photos_own_size_and_the_doors_labels(models, large_photo):
    file = Path(export_map(models, str(large_photo), "split2", "simformer", "png", 0.0))
    assert file.name == "wide-split2.zip"
    with zipfile.ZipFile(file) as archive:
        labels = np.array(Image.open(io.BytesIO(archive.read("wide.png"))))
        assert "2,cat," in archive.read("classes.csv").decode()
    np.testing.assert_array_equal(labels, Predictor.load("split2").segment(large_photo).labels)


def test_what_is_left_out_is_not_in_the_file(models, large_photo):
    all_areas, fewer = (
        json.loads(Path(export_map(models, str(large_photo), "split1", "oracle", "coco", left_out)).read_text())
        for left_out in (0, 60)
    )
    whole, left = (sum(each["area"] for each in content["annotations"]) for content in (all_areas, fewer))
    assert whole == 1000 * 700 and left == pytest.approx(0.4 * whole, rel=0.1)
    (entry,) = fewer["images"]
    assert (entry["file_name"], entry["height"], entry["width"]) == ("wide.png", 700, 1000)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_downloaded(models, photo_file, name):
    file = Path(export_map(models, str(photo_file), "split1", "cam", name, 0.0))
    assert file.name == f"holiday-cam{FORMATS[name].extension}" and file.stat().st_size > 0


@pytest.mark.parametrize(
    ("path", "which", "file_format", "sentence"),
    [(None, "cam", "png", "no photo yet"), ("photo", "split9", "png", "split9"), ("photo", "cam", "gif", "gif")],
)
def test_what_cannot_be_downloaded_is_one_sentence(models, photo_file, path, which, file_format, sentence):
    with pytest.raises(gr.Error, match=sentence):
        export_map(models, path and str(photo_file), "split1", which, file_format, 0.0)


def test_the_page_offers_every_format():
    assert [name for _, name in format_choices().choices] == list(FORMATS)


def test_old_folders_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, kept = new_folder(), new_folder()
    past = time.time() - KEPT_SECONDS - 60
    os.utime(old, (past, past))
    new_folder()
    assert not old.exists() and kept.exists()


def test_the_endpoint_answers_with_a_table_and_a_label_map(models, large_photo):
    answer, file = api.answer_photo(models, str(large_photo), "split1", 0.0)
    door = Predictor.load("split1").segment(large_photo)
    np.testing.assert_array_equal(np.array(Image.open(file)), door.labels)
    assert answer["model"] == "split1" and answer["size"] == {"width": 1000, "height": 700}
    assert [row["name"] for row in answer["table"]] == [row.name for row in door.table()]
    assert sum(row["area"] for row in answer["table"]) == pytest.approx(1)
    json.dumps(answer)


@pytest.mark.parametrize("roles, as_trained", [("cat", "split1"), ("sky", "split2")])
def test_the_endpoint_takes_roles(models, large_photo, roles, as_trained):
    answer, file = api.answer_photo(models, str(large_photo), "oracle", 0.0, roles)
    door = Predictor.load(as_trained).segment(large_photo)
    np.testing.assert_array_equal(np.array(Image.open(file)), door.labels)
    assert (answer["model"], answer["roles"]) == (as_trained, list(door.roles))
    with pytest.raises(gr.Error, match="there is no class"):
        api.answer_photo(models, str(large_photo), "oracle", 0.0, "kat")


def test_the_endpoints_errors_are_one_sentence(models, photo_file, tmp_path):
    with pytest.raises(gr.Error, match="split9"):
        api.answer_photo(models, str(photo_file), "split9", 0.0)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(gr.Error, match=r"^'broken\.jpg is") as raised:
        api.answer_photo(models, str(broken), "split1", 0.0)
    assert str(tmp_path) not in raised.value.message
