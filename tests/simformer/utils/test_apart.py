from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from simformer.errors import ImageError
from simformer.paths import ROOT
from simformer.utils import apart, decoder
from simformer.utils.apart import load_apart
from simformer.utils.images import load_image

sys.path.insert(0, str(ROOT / "tests" / "hostile"))

from photos import MAKERS, make_photos


@pytest.fixture
def children(monkeypatch):
    """One child of this test's own."""
    mine = apart._Children(1)
    monkeypatch.setattr(apart, "_children", mine)
    yield mine
    for child in mine._idle:
        child.end()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.mark.parametrize("shared", [True, False])
def test_the_same_photo_comes_back(photo, children, monkeypatch, shared):
    if not shared:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    expected = load_image(photo)
    first = load_apart(photo)
    other = load_apart(photo.read_bytes())
    for found in (first, other):
        assert found.mode == "RGB" and found.size == (40, 60)
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert len(children._idle) == 1
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50), "red").save(buffer, "PNG")
    load_apart(buffer.getvalue())  # in the same memory
    other.paste("blue", (0, 0, 40, 60))
    assert (np.asarray(first) == np.asarray(expected)).all() and other.getpixel((3, 4)) == (0, 0, 255)


def test_a_child_of_a_large_process_is_kept(photo, monkeypatch):
    taken = np.ones(decoder.KEPT_BYTES // 8 + 1000)  # the process that asks has torch, and more memory than a child may
    children = apart._Children(1)
    monkeypatch.setattr(apart, "_children", children)
    load_apart(photo)
    (child,) = children._idle
    load_apart(photo)
    assert children._idle == [child] and child.process.poll() is None
    child.end()
    assert taken.all()


def test_sentences_are_those_of_load_image(photo, children, tmp_path):
    (tmp_path / "odd \udcff.jpg").write_bytes(b"no photo")
    for source in (tmp_path, tmp_path / "gone.jpg", b"nonsense", tmp_path / "odd \udcff.jpg", os.devnull):
        with pytest.raises(ImageError) as here:
            load_image(source)
        with pytest.raises(ImageError) as there:
            load_apart(source)
        assert str(there.value) == str(here.value)
    with pytest.raises(ImageError, match="60 x 40 pixels, at most 2,399"):
        load_apart(photo, max_pixels=2399)
    with pytest.raises(ImageError, match="at most 59 a side"):
        load_apart(photo, max_side=59)
    with pytest.raises(ImageError, match="not an image of a known format"):
        load_apart(photo, formats=("JPEG",))


def test_a_named_pipe_keeps_nobody_waiting(children, tmp_path):
    os.mkfifo(tmp_path / "photo.jpg")
    with pytest.raises(ImageError, match="is a device or a pipe"):
        load_apart(tmp_path / "photo.jpg")


def test_what_takes_too_long_is_ended_and_the_next_photo_is_read(photo, children, monkeypatch, tmp_path):
    load_apart(photo)
    [slow] = make_photos(tmp_path, ["comments.ppm"])
    with monkeypatch.context() as patch:
        patch.setattr(apart, "WALL_SECONDS", 0.5)
        with pytest.raises(ImageError, match=r"comments\.ppm takes more than 10 seconds to decode"):
            load_apart(slow)
    assert load_apart(photo).size == (40, 60)


def test_a_childs_start_is_not_the_photos_time(photo, children, monkeypatch, tmp_path):
    slowly = tmp_path / "python"
    slowly.write_text(f'#!/bin/sh\nsleep 1.5\nexec "{sys.executable}" "$@"\n')
    slowly.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slowly))
    monkeypatch.setattr(apart, "WALL_SECONDS", 1)
    assert load_apart(photo).size == (40, 60)


def test_nobody_waits_for_what_ends_slowly(children, monkeypatch, tmp_path):
    """On a busy machine a process that was killed takes seconds to give back its memory."""
    kill, ending = subprocess.Popen.kill, []

    def kill_later(process):
        ending.append(threading.Timer(4, kill, [process]))
        ending[-1].start()

    [slow] = make_photos(tmp_path, ["comments.ppm"])
    children.make_ready()
    monkeypatch.setattr(apart, "WALL_SECONDS", 0.2)
    monkeypatch.setattr(subprocess.Popen, "kill", kill_later)
    started = time.perf_counter()
    with pytest.raises(ImageError, match="takes more than 10 seconds to decode"):
        load_apart(slow)
    assert time.perf_counter() - started < 3
    for timer in ending:
        timer.cancel()
        kill(timer.args[0])


def test_a_child_that_is_gone_is_replaced(photo, children):
    load_apart(photo)
    children._idle[0].process.kill()
    children._idle[0].process.wait()
    assert load_apart(photo).size == (40, 60)


@pytest.mark.slow
@pytest.mark.skipif(decoder.resource is None, reason="this system has no limits of memory")
def test_memory_is_limited(photo, children, tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "WALL_SECONDS", 100)  # the machine may be busy
    [greedy] = make_photos(tmp_path, ["exif_entries.png"])
    with pytest.raises(ImageError, match="needs too much memory to be decoded"):
        load_apart(greedy)
    assert load_apart(photo).size == (40, 60)


def no_such_file(*given, **options):
    raise FileNotFoundError


def test_without_limits_of_the_system(monkeypatch):
    monkeypatch.setattr(decoder, "resource", None)
    decoder.limit_memory()
    decoder.limit_time()
    monkeypatch.setattr("builtins.open", no_such_file)  # nor a /proc
    assert decoder.most_memory() == 0 and not decoder.is_spent()


@pytest.mark.parametrize("name, sentence", [
    ("one_row_of_fifty_million.png", "at most 30,000 a side"),
    ("declares_too_much.png", "is not an image"),
    ("scans.jpg", "10,009 scans"),
    ("no_pixels.gif", "is not an image"),
    ("text.png", "is damaged"),
    ("noise.jpg", "is not an image"),
])  # fmt: skip
def test_headers_are_checked_first(name, sentence):
    with pytest.raises(ImageError, match=sentence):
        load_image(MAKERS[name]())
