"""The page's own data set for the planner: its classes, and the role sets that were measured on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from simformer.costs import ClassFrequency, shipped_frequency
from simformer.costs.typed import folder_rows, frequencies, frequency_rows
from simformer.datasets.folder_files import names_to_annotate
from simformer.errors import ConfigError, SimFormerError
from simformer.results import ResultCell, cell_split
from simformer.splits import DATASET_TITLES, datasets


@cache
def own_rows(root: Path) -> list[list[Any]]:
    """The table of classes, counted on the label maps of a folder data set, once. Raises DatasetError, ConfigError."""
    return folder_rows(str(root))


def counted_on(classes: tuple[ClassFrequency, ...], data: Path | None) -> str:
    """Where the frequencies of a plan's classes come from, in a few words. data: the page's own data set."""
    for dataset in datasets():
        with suppress(ConfigError):  # of some no counts ship
            if classes == frequencies(frequency_rows(shipped_frequency(dataset))):
                return f"the training photos of {DATASET_TITLES[dataset]}"
    if data is not None:
        with suppress(SimFormerError):
            if classes == frequencies(own_rows(data)):
                return names_to_annotate(data)[1]
    return "numbers that were typed or uploaded"


def own_splits(cells: Iterable[ResultCell], names: Collection[str]) -> dict[str, list[str]]:
    """ "DATASET/SPLIT" -> base classes, of everything measured on data of one's own with just these classes."""
    found = {}
    for cell in cells:
        split = cell_split(cell)
        if cell.dataset not in datasets() and cell.novel is not None and set(split.classes) == set(names):
            found[f"{cell.dataset}/{cell.split}"] = [split.classes[index] for index in split.base]
    return found
