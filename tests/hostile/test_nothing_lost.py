"""Crashes, full disks and odd folders: what was there stays whole, and the rest goes on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from simformer.batch.find import find_photos
from simformer.batch.outputs import MadeFrom, save_segmentation, table_file
from simformer.errors import ImageError, SimFormerError, exit_on_error
from simformer.segmentation import Segmentation
from simformer.utils import files
from simformer.utils.files import LOCK, atomic_write, only_one
from simformer.utils.images import load_image

HOLD = """
import sys
from pathlib import Path
from simformer.utils.files import only_one
with only_one(Path(sys.argv[1]), "a training"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_exclusive_and_a_crash_releases_it(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        sentence = "a training in .* is going on in another process"
        with pytest.raises(SimFormerError, match=sentence), only_one(tmp_path, "a training"):
            raise AssertionError
        other.kill()
        other.wait()
        with only_one(tmp_path, "a training"):
            assert (tmp_path / LOCK).is_file()


class Full:
    """A file on a full disk."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_while_saving_leaves_the_last_state(tmp_path):
    path = tmp_path / "state.pt"
    torch.save({"step": 1}, path)
    with pytest.raises(SimFormerError, match=r"state\.pt: the disk is full"), atomic_write(path) as file:
        torch.save({"step": 2, "task": torch.zeros(100_000)}, Full(file))
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert os.listdir(tmp_path) == ["state.pt"]


def test_a_full_disk_while_logging_is_one_sentence(capsys):
    with pytest.raises(SystemExit), exit_on_error():
        raise OSError(errno.ENOSPC, "No space left on device", "events.log")
    assert capsys.readouterr().err == "Error: cannot write events.log: the disk is full\n"


def segmentation(label: int) -> Segmentation:
    labels = np.full((4, 4), label, np.uint8)
    return Segmentation(labels, np.zeros((2, 1, 1), np.float32), ("cow", "grass"), ("base", "novel"), "s1")


def test_again_replaces_a_map_only_by_a_finished_one(tmp_path, monkeypatch):
    stem, origin = tmp_path / "photo", MadeFrom("old", 0.0, False, "torch", 1, 1)
    save_segmentation(segmentation(0), stem, "photo.jpg", origin)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = segmentation(1)
    with monkeypatch.context() as patch:
        broken = Image.new("P", (4, 4))
        patch.setattr(broken, "save", lambda *_, **__: 1 / 0)
        patch.setattr(Segmentation, "label_image", lambda _: broken)
        with pytest.raises(ZeroDivisionError):
            save_segmentation(result, stem, "photo.jpg", MadeFrom("new", 0.0, False, "torch", 1, 1))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    save_segmentation(result, stem, "photo.jpg", MadeFrom("new", 0.0, False, "torch", 1, 1))
    assert json.loads(table_file(stem).read_text())["made_from"]["weights"] == "new"


def test_a_link_to_itself_is_named(tmp_path):
    link = tmp_path / "photos" / "a.jpg"
    link.parent.mkdir()
    link.symlink_to(link)
    Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "b.png")
    found, problems = find_photos([tmp_path / "photos"], tmp_path / "out")
    assert [photo.name for photo in found] == ["a.jpg", "b.png"] and not problems
    with pytest.raises(ImageError, match=r"a\.jpg is a link that leads to itself"):
        load_image(link)


def test_leftovers_of_crashes_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_swept", set())
    names = [".state.pt.0123abcd.tmp", ".state.pt.89abcdef.tmp", ".other.tmp", "mine.0123abcd.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, times=(0, 0))
    os.utime(tmp_path / names[1], times=(time.time(), time.time()))
    with atomic_write(tmp_path / "state.pt") as file:
        file.write(b"whole")
    assert sorted(os.listdir(tmp_path)) == sorted([*names[1:], "state.pt"])
