"""Which classes the label maps of a large data set show, kept beside it: reading 20,000 PNGs takes minutes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from simformer.errors import SimFormerError
from simformer.utils.files import atomic_write

FILE_NAME = ".image_labels.npz"
# Fewer label maps are read in a moment; then no file is left in anybody's folder.
WORTH_KEEPING = 1_000

Stamp = tuple[int, int]
Known = dict[str, tuple[Stamp, tuple[int, ...]]]


def stamp(path: Path) -> Stamp:
    """What changes when a file does: its time of modification (ns) and its size (bytes)."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size


def read_cache(folder: Path) -> Known:
    """Name -> stamp of its label map when it was read, and the values it held; {} where nothing usable is kept."""
    try:
        with np.load(folder / FILE_NAME, allow_pickle=False) as file:
            names, stamps, shown = file["names"], file["stamps"], file["shown"]
    except Exception:  # none yet, or damaged: the label maps themselves are there to be read
        return {}
    rows, values = np.nonzero(np.unpackbits(shown, axis=1))
    per_name = np.split(values, np.searchsorted(rows, np.arange(1, len(names))))
    return {
        name: ((time, size), tuple(found.tolist()))
        for name, (time, size), found in zip(names.tolist(), stamps.tolist(), per_name, strict=True)
    }


def write_cache(folder: Path, known: Mapping[str, tuple[Stamp, Iterable[int]]]) -> None:
    """Keep what is known; a folder that cannot be written to is left as it is."""
    shown = np.zeros((len(known), 256), dtype=bool)
    for row, (_, values) in zip(shown, known.values(), strict=True):
        row[list(values)] = True
    stamps = np.array([stamp for stamp, _ in known.values()], dtype=np.int64)
    try:
        with atomic_write(folder / FILE_NAME) as file:
            np.savez(file, names=np.array(list(known)), stamps=stamps, shown=np.packbits(shown, axis=1))
    except SimFormerError:
        pass
