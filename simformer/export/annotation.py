"""What every exporter reads: a label map and the photo it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simformer.errors import SimFormerError, UnknownClassError
from simformer.labels import VOID


@dataclass(frozen=True)
class Annotation:
    """The label map of one photo.

    Attributes:
        file_name: the photo's path with its extension, relative to the photos' folder; "/" or "\\" between
            folders.
        labels: uint8, H x W at the photo's own size after EXIF rotation; class index, or 255 where unsure.
        url: where a tool on the web finds the photo; empty if only its file name is known.
        details: what else an annotator is to know of the photo, JSON values by name; of the formats only Label Studio's
            has a place for it.

    Raises:
        SimFormerError: the file name is not a relative path, or the labels are not uint8 H x W.
    """

    file_name: str
    labels: NDArray[np.uint8]
    url: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "file_name", _relative(self.file_name))
        if self.labels.ndim != 2 or self.labels.dtype != np.uint8 or self.labels.size == 0:
            found = f"{self.labels.dtype} {self.labels.shape}"
            raise SimFormerError(f"{self.file_name}: a label map is uint8 of shape H x W, not {found}")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.labels.shape
        return height, width

    @property
    def stem(self) -> str:
        """File name with its folders, without its extension."""
        return str(PurePosixPath(self.file_name).with_suffix(""))


def _relative(file_name: str) -> str:
    # A name that climbs out of its folder would be written outside the export, too.
    name = file_name.replace("\\", "/")
    parts = name.split("/")
    if (
        PureWindowsPath(name).anchor
        or any(part in ("", ".", "..") for part in parts)
        or not name.isprintable()
        or name != name.strip()
    ):
        raise SimFormerError(
            f"{file_name!r} cannot be exported: a photo's name is a path relative to the photos' folder"
        )
    return name


def check_classes(classes: Sequence[str]) -> None:
    """Raise UnknownClassError unless `classes` are 1 to 255 different, non-empty names."""
    if not 1 <= len(classes) <= VOID:
        raise UnknownClassError(f"there are {len(classes)} class names; between 1 and {VOID} are possible")
    for index, name in enumerate(classes):
        if not name.strip():
            raise UnknownClassError(f"class {index} has an empty name")
        if name in classes[:index]:
            raise UnknownClassError(f"the class {name!r} is listed twice")


def check_labels(annotation: Annotation, classes: Sequence[str]) -> None:
    """Raise UnknownClassError if a label is neither the index of a class nor 255."""
    used = np.bincount(annotation.labels.ravel(), minlength=VOID + 1)
    wrong = np.flatnonzero(used[len(classes) : VOID])
    if wrong.size:
        raise UnknownClassError(
            f"{annotation.file_name}: the label map has the value {len(classes) + wrong[0]}, "
            f"but there are {len(classes)} classes"
        )


def distinct(annotations: Iterable[Annotation], name_of: Callable[[Annotation], str]) -> Iterator[Annotation]:
    """Pass the annotations on, one at a time, as long as no two share the name they are written under.

    Names that differ only in case count as one: on some systems they are the same file.

    Raises:
        SimFormerError: two photos would be written under one name.
    """
    taken: dict[str, str] = {}
    for annotation in annotations:
        name = name_of(annotation).casefold()
        if name in taken:
            raise SimFormerError(
                f"{annotation.file_name} would replace {taken[name]} in the export; rename one of them"
            )
        taken[name] = annotation.file_name
        yield annotation
