"""Writing files so that a crash, a full disk or a signal never leaves half of one."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from simformer.errors import SimFormerError, is_full_disk

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"
CAN_LOCK = fcntl is not None
# What a process that was killed while writing left behind, and the age in seconds at which nobody writes it any more.
LEFTOVER = re.compile(r"\..*\.[0-9a-f]{8}\.tmp")
LEFTOVER_SECONDS = 24 * 3600
_swept: set[Path] = set()


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that takes its name only when the block ends without an exception.

    The bytes go to a temporary file in the same folder, reach the disk (fsync), and then replace `path` in
    one step. If anything goes wrong the temporary file is removed and an older `path` stays as it was. Temporary files
    that a killed process left in the folder a day ago are removed, too.

    Args:
        path: the file to write; its folder must exist. A symbolic link is followed, not replaced.
        mode: "wb" for bytes, "w" for UTF-8 text.

    Raises:
        SimFormerError: the folder is missing or not writable, or the disk is full.
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"atomic_write mode is 'wb' or 'w', not {mode!r}")
    target = Path(os.path.realpath(path))
    _sweep(target.parent)
    # Not tempfile.mkstemp: that would make the finished file readable by its owner only.
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        file = open(temporary, "xb" if mode == "wb" else "x", encoding=None if mode == "wb" else "utf-8")  # noqa: SIM115
    except OSError as error:
        raise SimFormerError(f"cannot write {target}: {_reason(error)}") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # A library that writes through the file may have wrapped the error in one of its own.
        inner: BaseException | None = error
        while inner is not None:
            if is_full_disk(inner):
                raise SimFormerError(f"cannot write {target}: the disk is full") from error
            inner = inner.__cause__ or inner.__context__
        raise


@contextmanager
def only_one(folder: Path, what: str) -> Iterator[None]:
    """Holds the folder's lock file. A process that ends, however it ends, holds it no longer.

    Where Python has no module `fcntl` (Windows) nothing is locked.

    Args:
        folder: exists.
        what: is going on there, for the sentence.

    Raises:
        SimFormerError: another process holds it, or the folder is not writable.
    """
    try:
        # Not closed by a child that inherits it: locks of this kind are the process's own.
        file = open(folder / LOCK, "ab")  # noqa: SIM115
    except OSError as error:
        raise SimFormerError(f"cannot write {folder / LOCK}: {_reason(error)}") from error
    with file:
        if fcntl is not None:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise SimFormerError(f"{what} in {folder} is going on in another process; wait for it") from error
        yield


def _sweep(folder: Path) -> None:
    """Once a process and folder."""
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if LEFTOVER.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > LEFTOVER_SECONDS:
                os.unlink(entry.path)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder and those above it, where they are missing; SimFormerError where that fails."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimFormerError(f"the folder {path} cannot be made: {_reason(error)}") from error


def _replace(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)
    except OSError as error:
        raise SimFormerError(f"cannot write {target}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if is_full_disk(error):
        return "the disk is full"
    return (error.strerror or str(error)).lower()
