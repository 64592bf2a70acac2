"""How often classes occur: in how many photos, and with how many instances in such a photo."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simformer.datasets.folder_files import labelled_names
from simformer.errors import ConfigError
from simformer.labels import VOID, value_counts
from simformer.paths import DATA
from simformer.utils.regions import EIGHT_NEIGHBOURS, number_regions, region_areas
from simformer.utils.validation import first_problem

if TYPE_CHECKING:
    from simformer.datasets.folder import FolderDataset

SMALLEST_REGION = 0.001
"""Share of a photo's pixels below which a connected component is a speck, not an instance to annotate."""


class ClassFrequency(BaseModel):
    """How often a class occurs.

    Attributes:
        name: of the class.
        share: of the photos, 0 to 1, in which the class occurs.
        instances: mean number in a photo in which it occurs; None = not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    share: float = Field(ge=0, le=1)
    instances: float | None = Field(default=None, ge=1, le=10_000)


def shipped_frequency(dataset: str = "msrc21") -> tuple[ClassFrequency, ...]:
    """Frequencies counted on the training photos of a data set.

    Raises:
        ConfigError: no counts of that data set ship with the package.
    """
    counts = shipped_counts(dataset)
    return _frequencies(counts["classes"], counts["images"])


@cache
def shipped_counts(dataset: str) -> dict[str, Any]:
    """The counts behind `shipped_frequency`: their origin, the photos, and a row of counts a class."""
    path = DATA / f"class_frequency_{dataset}.json"
    prefix = "class_frequency_"
    known = sorted(file.stem.removeprefix(prefix) for file in DATA.glob(f"{prefix}*.json"))
    if dataset not in known:
        raise ConfigError(
            f"no class frequencies of {dataset!r} ship with the package (only of {', '.join(known)}); "
            "count them on a folder of label maps or give them as CSV"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def shipped_together(dataset: str, classes: Sequence[str]) -> NDArray[np.float64] | None:
    """Of the training photos that show class c, the share that show class d too; None if they were not counted.

    Returns:
        float64, K x K, 0 to 1, in the order of `classes`; 0 on the diagonal and where no photo shows c.
    """
    try:
        counts = shipped_counts(dataset)
    except ConfigError:
        return None
    names = [row["name"] for row in counts["classes"]]
    if set(names) != set(classes) or "pairs" not in counts:
        return None
    order = [names.index(name) for name in classes]
    pairs = np.array(counts["pairs"], dtype=float)[np.ix_(order, order)]
    shares = pairs / np.maximum(np.diag(pairs), 1)[:, None]
    np.fill_diagonal(shares, 0)
    return shares


def count_pairs(dataset: FolderDataset) -> list[list[int]]:
    """In how many photos every two classes are shown together, by image-level labels.

    Returns:
        K rows of K counts, in class order, symmetric; on the diagonal the photos that show the class.

    Raises:
        DatasetError: as `count_classes`.
    """
    shown = np.zeros((len(dataset), len(dataset.classes)), dtype=np.int64)
    for photo, labels in enumerate(dataset.all_image_labels()):
        shown[photo, list(labels)] = 1
    return (shown.T @ shown).tolist()


def count_classes(
    dataset: FolderDataset,
    *,
    smallest: float = SMALLEST_REGION,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[dict[str, Any]]:
    """Count photos and regions of every class of a data set.

    A region is a connected component (8 neighbors) of one class with at least `smallest` of the photo's
    pixels. It stands in for an instance: touching objects of one class count as one, an object in two parts
    as two. A class whose every component is smaller counts as one region in that photo.

    Args:
        progress: wraps the iterable of photo indices, for example ``tqdm``.

    Returns:
        One {"name", "images", "label_maps", "regions"} a class, in class order: photos with the class,
        those among them whose label map shows it, and regions in those.

    Raises:
        DatasetError: a label map cannot be read or does not fit the classes; names the file.
    """
    counts = [{"name": name, "images": 0, "label_maps": 0, "regions": 0} for name in dataset.classes]
    for index in progress(range(len(dataset))):
        for label in dataset.image_labels(index):
            counts[label]["images"] += 1
        labels = dataset.label_map(index)
        if labels is None:
            continue
        labels = labels.numpy()
        for label in np.flatnonzero(value_counts(labels)[:VOID]).tolist():
            counts[label]["label_maps"] += 1
            counts[label]["regions"] += _regions(labels == label, smallest)
    return counts


def folder_frequency(
    root: str | Path, *, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> tuple[ClassFrequency, ...]:
    """Count the classes of a folder data set (see FolderDataset for its layout): on the photos of its train.txt, or on
    all without one, that have a label map or image labels.

    Raises:
        DatasetError: as FolderDataset and `count_classes`.
    """
    from simformer.datasets.folder import FolderDataset

    dataset = FolderDataset(root, names=labelled_names(root))
    return _frequencies(count_classes(dataset, progress=progress), len(dataset))


def csv_frequency(path: str | Path) -> tuple[ClassFrequency, ...]:
    """Read class frequencies from a CSV file (UTF-8, commas, a header line) of one of two kinds.

    - ``class,share`` and optionally ``instances``: one line a class, with the share (0 to 1) of the photos
      that show it and the mean number of its instances in such a photo.
    - ``photo,class``: one line for every class of every photo, as in image_labels.csv. Photos without any
      class cannot be named there, so shares are of the photos that the file names.

    Raises:
        ConfigError: the file cannot be read, or a line does not fit; the sentence names file and line.
    """
    path = Path(path)
    try:
        rows = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(), skipinitialspace=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error
    try:
        header = set(rows.fieldnames or ())
        if {"class", "share"} <= header:
            classes = [_csv_class(path, rows.line_num, row) for row in rows]
        elif {"photo", "class"} <= header:
            classes = _csv_occurrences(rows)
        else:
            raise ConfigError(f"{path} must begin with the line class,share,instances or photo,class")
    except csv.Error as error:
        raise ConfigError(f"{path}, line {rows.line_num + 1}: {error}") from error
    if not classes:
        raise ConfigError(f"{path} names no class")
    return tuple(classes)


def _csv_class(path: Path, line: int, row: dict[str, str]) -> ClassFrequency:
    values = {key: (row.get(key) or "").strip() for key in ("class", "share", "instances")}
    try:
        return ClassFrequency.model_validate(
            {"name": values["class"], "share": values["share"], "instances": values["instances"] or None}
        )
    except ValidationError as error:
        raise ConfigError(f"{path}, line {line}: {first_problem(error)}") from error


def _csv_occurrences(rows: Iterable[dict[str, str]]) -> list[ClassFrequency]:
    photos_of: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        photo, name = (row["photo"] or "").strip(), (row["class"] or "").strip()
        if photo and name:
            photos_of[name].add(photo)
    photos = len(set().union(*photos_of.values()))
    return [ClassFrequency(name=name, share=len(shown) / photos) for name, shown in photos_of.items()]


def _frequencies(rows: Iterable[dict[str, Any]], photos: int) -> tuple[ClassFrequency, ...]:
    return tuple(
        ClassFrequency(
            name=row["name"],
            share=row["images"] / photos,
            instances=row["regions"] / row["label_maps"] if row["label_maps"] else None,
        )
        for row in rows
    )


def _regions(mask: np.ndarray, smallest: float) -> int:
    areas = region_areas(number_regions(mask, EIGHT_NEIGHBOURS))
    return max(1, int((areas >= smallest * mask.size).sum()))
