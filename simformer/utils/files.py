"""Writing files so that a crash, a full disk or a signal never leaves half of one."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from simformer.errors import SimFormerError


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that takes its name only when the block ends without an exception.

    The bytes go to a temporary file in the same folder, reach the disk (fsync), and then replace `path` in
    one step. If anything goes wrong the temporary file is removed and an older `path` stays as it was.

    Args:
        path: the file to write; its folder must exist. A symbolic link is followed, not replaced.
        mode: "wb" for bytes, "w" for UTF-8 text.

    Raises:
        SimFormerError: the folder is missing or not writable, or the disk is full.
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"atomic_write mode is 'wb' or 'w', not {mode!r}")
    target = Path(os.path.realpath(path))
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
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SimFormerError(f"cannot write {target}: {_reason(error)}") from error
        raise


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
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return (error.strerror or str(error)).lower()
