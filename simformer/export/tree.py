"""Exports of many files: a folder, or the same tree in one zip."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from simformer.utils.files import atomic_write, make_folder


class Tree(Protocol):
    """A place for files with names like "folder/photo.png"."""

    paths: list[Path]

    def add(self, name: str, data: bytes) -> None:
        """Write one file."""


@contextmanager
def open_tree(out: Path) -> Iterator[Tree]:
    """A tree of files to write: one zip if `out` ends in .zip, a folder otherwise.

    The zip appears only once it is whole, and each file of a folder likewise. `paths` of the tree are the
    files that are on the disk in the end. Equal contents give equal bytes: no times are recorded.

    Raises:
        SimFormerError: the folder cannot be made, or a file cannot be written.
    """
    if out.suffix.lower() != ".zip":
        yield _Folder(out)
        return
    make_folder(out.parent)
    with atomic_write(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        yield _Zip(out, archive)


class _Folder:
    def __init__(self, root: Path):
        self.root = root
        self.paths: list[Path] = []
        make_folder(root)

    def add(self, name: str, data: bytes) -> None:
        path = self.root / name
        make_folder(path.parent)
        with atomic_write(path) as file:
            file.write(data)
        self.paths.append(path)


class _Zip:
    def __init__(self, out: Path, archive: zipfile.ZipFile):
        self.paths = [out]
        self.archive = archive

    def add(self, name: str, data: bytes) -> None:
        entry = zipfile.ZipInfo(name)  # dated 1980, the earliest a zip can say
        entry.external_attr = 0o644 << 16
        self.archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
