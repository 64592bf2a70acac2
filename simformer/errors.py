"""Errors whose text is one sentence that a user can act on."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class SimFormerError(ValueError):
    """A problem that the user can solve; its text says what is wrong and where."""


class ImageError(SimFormerError):
    """A photo that cannot be read, or is too large."""


class DatasetError(SimFormerError):
    """A data set whose files are missing or contradict each other."""


class CheckpointError(SimFormerError):
    """A weights file that is missing, damaged, or does not fit its network."""


class ConfigError(SimFormerError):
    """A setting that is unknown, out of range, or contradicts another."""


class UnknownClassError(SimFormerError):
    """A class name or index that the model or data set does not have."""


def is_full_disk(error: BaseException) -> bool:
    """Whether there is no room left, on the disk or for its user."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """How every command ends when its user has something to mend.

    A SimFormerError inside, or a full disk, ends the process with exit status 1 and its sentence, no traceback, on
    stderr.
    """
    try:
        yield
    except SimFormerError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:  # of what is not written by `simformer.utils.files`, such as a log
        if not is_full_disk(error):
            raise
        where = f"cannot write {error.filename}: " if error.filename else ""
        print(f"Error: {where}the disk is full", file=sys.stderr)
        raise SystemExit(1) from None
