"""Atomic writing: all of the file or none of it."""

from __future__ import annotations

import errno
import os

import pytest

from simformer.errors import SimFormerError
from simformer.utils.files import atomic_write, make_folder


def test_writes_bytes_and_text(tmp_path):
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"\x00\xff")
    with atomic_write(tmp_path / "b.txt", "w") as file:
        file.write("grün\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b.txt").read_bytes() == "grün\n".encode()
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "b.txt"]


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), OSError(errno.EIO, "bad disk")])
def test_exception_leaves_the_old_file_and_no_rubbish(tmp_path, error):
    path = tmp_path / "weights"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["weights"]


def test_full_disk_is_a_sentence(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"old")
    with pytest.raises(SimFormerError, match=r"cannot write .*weights: the disk is full"), atomic_write(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_bytes() == b"old"


def test_missing_folder_is_a_sentence(tmp_path):
    missing = tmp_path / "nowhere" / "x"
    with pytest.raises(SimFormerError, match=r"cannot write .*nowhere/x: no such file"), atomic_write(missing):
        pass


def test_folder_in_the_way_is_a_sentence(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(SimFormerError, match="is a directory"), atomic_write(tmp_path / "x") as file:
        file.write(b"1")
    assert os.listdir(tmp_path) == ["x"]


def test_symbolic_link_stays_and_permissions_follow_the_umask(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "w").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "w")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "w").read_bytes() == b"new"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert (tmp_path / "real" / "w").stat().st_mode == plain.stat().st_mode


def test_other_modes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'ab'"), atomic_write(tmp_path / "x", "ab"):
        pass


def test_make_folder(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(SimFormerError, match=r"the folder .*file cannot be made: file exists"):
        make_folder(tmp_path / "file")
