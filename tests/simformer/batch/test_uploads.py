from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from simformer.batch import uploads
from simformer.batch.uploads import unpack


def photo_bytes(value=0):
    file = io.BytesIO()
    Image.fromarray(np.full((8, 9, 3), value, np.uint8)).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def make_zip(tmp_path):
    def make(name="photos.zip", **entries):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for entry, data in entries.items():
                archive.writestr(entry, data)
        return tmp_path / name

    return make


def names(photos):
    return [photo.name for photo in photos]


def test_photos_and_zips_in_their_order(make_zip, tmp_path):
    (tmp_path / "single.png").write_bytes(photo_bytes())
    file = make_zip(**{"a.png": photo_bytes(1), "deep/er/b.png": photo_bytes(2), "deep/": b""})
    photos, failed = unpack([file, tmp_path / "single.png"], tmp_path / "out")
    assert names(photos) == ["a.png", "deep/er/b.png", "single.png"] and failed == []
    assert [np.array(Image.open(photo.path)).max() for photo in photos] == [1, 2, 0]


def test_what_hides_is_passed_over_and_what_does_not_fit_is_named(make_zip, tmp_path):
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    file = make_zip(**{".hidden.png": b"", "__MACOSX/x.png": b"", "read.me": b"", "a.png": photo_bytes()})
    photos, failed = unpack([tmp_path / "notes.txt", tmp_path / "broken.zip", file], tmp_path / "out")
    assert names(photos) == ["a.png"]
    assert [(each.name, each.why.split(" (")[0]) for each in failed] == [
        ("notes.txt", "it is neither a photo nor a zip"),
        ("broken.zip", "it cannot be read as a zip"),
        ("photos.zip/read.me", "it is no photo"),
    ]


@pytest.mark.parametrize("entry", ["../out.png", "/out.png", "a/../../out.png", "c:\\out.png", "..\\out.png"])
def test_nothing_is_written_outside(make_zip, tmp_path, entry):
    photos, failed = unpack([make_zip(**{entry: photo_bytes()})], tmp_path / "deep" / "out")
    assert photos == [] and failed[0].why == "its name leads out of the zip"
    assert not list(tmp_path.rglob("out.png"))


def test_a_zip_that_would_fill_the_disk(make_zip, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 3 * len(photo_bytes()) // 2)
    photos, failed = unpack([make_zip(**{"a.png": photo_bytes(), "b.png": photo_bytes()})], tmp_path / "out")
    assert names(photos) == ["a.png"]
    assert failed[0].name == "photos.zip/b.png" and "holds more than" in failed[0].why


def test_a_damaged_entry_is_named(make_zip, tmp_path):
    file = make_zip(**{"a.png": photo_bytes(), "b.png": photo_bytes(7)})
    data = bytearray(file.read_bytes())
    start = data.index(b"b.png") + len(b"b.png")
    data[start + 20] ^= 0xFF
    file.write_bytes(data)
    photos, failed = unpack([file], tmp_path / "out")
    assert names(photos) == ["a.png"] and "it cannot be unpacked" in failed[0].why


def test_so_many_and_no_more(make_zip, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_PHOTOS", 2)
    photos, failed = unpack([make_zip(**{f"{i}.png": photo_bytes() for i in range(4)})], tmp_path / "out")
    assert names(photos) == ["0.png", "1.png"]
    assert [each.why for each in failed] == ["it is one more than 2 photos"] * 2


def test_photos_of_one_name_do_not_replace_each_other(make_zip, tmp_path):
    first = make_zip("one.zip", **{"a.png": photo_bytes(), "A.jpg": photo_bytes()})
    second = make_zip("two.zip", **{"a.png": photo_bytes(), "a-2.png": photo_bytes()})
    photos, _ = unpack([first, second], tmp_path / "out")
    assert names(photos) == ["a.png", "A-2.jpg", "a-3.png", "a-2-2.png"]
    assert len({photo.path for photo in photos}) == 4
