from __future__ import annotations

import csv
import io
import json
import os
import time
import zipfile

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from simformer.predictor import Predictor
from simformer.ui.segment.exporting import KEPT_SECONDS, new_folder
from simformer.ui.segment.many import CHOSEN, finish, look, pack, run, start


@pytest.fixture
def files(tmp_path):
    """A photo, a zip of another in a folder, and a broken one."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "one.png")
    packed = io.BytesIO()
    Image.fromarray(noise[:, ::-1]).save(packed, format="PNG")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("deep/two.png", packed.getvalue())
    (tmp_path / "<b>.jpg").write_bytes(b"\xff\xd8 broken")
    return [str(tmp_path / name) for name in ("one.png", "more.zip", "<b>.jpg")]


def ran(models, files, model="split1", file_format="png", choice=()):
    return list(run(models, lambda *values: values[0], files, model, file_format, 0.0, *choice))


def entries(button):
    with zipfile.ZipFile(button.value["path"] if isinstance(button.value, dict) else button.value) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_label_maps_of_all_photos_and_what_failed(models, files):
    *_, (html, save, batch, go, stop) = ran(models, files)
    found = entries(save)
    assert sorted(found) == ["classes.csv", "deep/two.png", "failed.csv", "one.png"]
    door = Predictor.load("split1").segment(files[0])
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(found["one.png"]))), door.labels)
    [failed] = csv.DictReader(io.StringIO(found["failed.csv"].decode()))
    assert (failed["file"] == "<b>.jpg" and "not an image" in failed["why"]) or "damaged" in failed["why"]
    assert "2 of 3 photos segmented by SimFormer, split 1" in html
    assert "&lt;b&gt;.jpg" in html and "<b>" not in html
    assert (batch, go.visible, stop.visible, save.visible) == (None, True, False, True)


def test_a_batch_that_takes_long_stays_when_others_save_files(models, files):
    batch = start(models, files[:1], "split1")
    os.utime(batch.folder, (time.time() - 2 * KEPT_SECONDS,) * 2)
    assert next(look(models, batch, 0.0)) == 1
    new_folder()
    assert batch.label_file(batch.photos[0]).is_file()


@pytest.mark.parametrize("file_format, inside", [("coco", "coco.json"), ("labelme", "deep/two.json")])
def test_other_formats(models, files, file_format, inside):
    found = entries(ran(models, files, file_format=file_format)[-1][1])
    assert inside in found and "failed.csv" in found
    json.loads(found[inside])


def test_the_roles_that_are_chosen(models, files):
    *_, (html, save, *_) = ran(models, files[:1], CHOSEN, choice=("roles-nbn",))
    assert "1 of 1 photos segmented by SimFormer, your roles" in html
    assert set(entries(save)) == {"classes.csv", "one.png"}


def test_progress_photo_by_photo(models, files):
    models.predictor("split1")
    steps = ran(models, files)
    texts = [html for html, *_ in steps if isinstance(html, str)]
    assert [f"{n} of 3 photos looked at" in text for n, text in zip((0, 1, 2, 3), texts[-5:-1], strict=True)] == [
        True
    ] * 4
    assert all((go.visible, stop.visible) == (False, True) for *_, go, stop in steps[:-1])


def test_stopped_it_gives_what_is_done(models, files):
    batch = start(models, files, "split1")
    next(look(models, batch, 0.0))
    html, save, left, *_ = finish(batch, "png")
    assert "1 of 3 photos segmented" in html and left is None
    assert set(entries(save)) == {"classes.csv", "one.png"}
    html, save, *_ = finish(start(models, files, "split1"), "png")
    assert "0 of 3 photos" in html and not save.visible
    assert finish(None, "png")[2] is None


def test_nothing_of_the_photos_stays(models, files):
    batch = start(models, files, "split1")
    list(look(models, batch, 0.0))
    pack(batch, "coco")
    assert sorted(path.name for path in batch.folder.iterdir()) == ["annotations.json", "label-maps.zip"]


@pytest.mark.parametrize("given, model, sentence", [
    ([], "split1", "There are no photos yet"),
    (None, "split1", "There are no photos yet"),
    (["notes.txt"], "split1", "There is no photo among these files: notes.txt: it is neither"),
    (["one.png"], "split9", "there is no model"),
])  # fmt: skip
def test_mistakes_are_one_sentence(models, files, given, model, sentence):
    steps = run(models, str, given, model, "png", 0.0)
    html, *_ = next(steps)
    assert sentence.split(":")[0] in html
    with pytest.raises(gr.Error, match=sentence.split(":")[0]):
        next(steps)
