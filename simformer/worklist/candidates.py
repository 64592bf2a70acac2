"""The photos of a folder data set, and whose masks are still to be drawn in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simformer.datasets.folder_files import find_photos, read_classes, read_image_labels, read_names, training_list
from simformer.errors import DatasetError
from simformer.labels import VOID, read_label_png, value_counts


@dataclass(frozen=True)
class Candidate:
    """A photo.

    Attributes:
        name, path: without extension, and its file.
        shown: indices of the classes it shows, by image labels and label map; None where nobody has said.
        drawn: of those that have pixels in its label map.
    """

    name: str
    path: Path
    shown: frozenset[int] | None
    drawn: frozenset[int]

    def needed(self, chosen: frozenset[int]) -> frozenset[int] | None:
        """The chosen classes that it shows without masks; None where it is not known what it shows."""
        return None if self.shown is None else (self.shown & chosen) - self.drawn


def read_candidates(
    root: str | Path,
    list_file: str | None = None,
    *,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> tuple[tuple[str, ...], list[Candidate]]:
    """Class names, and the photos of a list in its order. Unlike for training, photos may lack labels of any kind.

    Args:
        list_file: names the photos; None = `training_list`, which is train.txt or all photos.

    Raises:
        DatasetError: a file is missing or contradicts another, or there is no photo; the sentence names it.
    """
    root = Path(root)
    classes, photos = read_classes(root), find_photos(root)
    list_file = list_file or training_list(root)
    names = sorted(photos) if list_file is None else read_names(root, list_file, photos)
    if not names:
        raise DatasetError(f"{root / (list_file or 'images')} names no photo")
    listed = read_image_labels(root, classes, photos)
    found = []
    for name in progress(names):
        drawn = _drawn(root / "labels" / f"{name}.png", len(classes))
        said = drawn is not None or name in listed
        shown = frozenset(listed.get(name, ())) | (drawn or frozenset())
        found.append(Candidate(name, photos[name], shown if said else None, drawn or frozenset()))
    return classes, found


def _drawn(file: Path, classes: int) -> frozenset[int] | None:
    """Classes with pixels in a label map; None if there is none. Raises DatasetError for a value without a class."""
    if not file.is_file():
        return None
    values = np.flatnonzero(value_counts(read_label_png(file))[:VOID]).tolist()
    if values and values[-1] >= classes:
        raise DatasetError(f"{file} holds the value {values[-1]}, but there are {classes} classes")
    return frozenset(values)
