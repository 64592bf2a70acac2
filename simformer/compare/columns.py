"""Which models can be compared: weights files found by their cards, each under the name of its method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from simformer.batch.outputs import digest
from simformer.errors import CheckpointError, ConfigError
from simformer.paths import WEIGHTS
from simformer.results import METHOD_ORDER, NAME_OF_TRAINING, GivenMasks, Training
from simformer.splits import ALL_BASE, Split, dataset_classes, datasets, load_split, split_names
from simformer.weights import SUFFIX, Card, find_weights, read_card, weights_folder

CAM, ORACLE, SIMFORMER = "CAM", "FullyOracle", "SimFormer"
Picture = Literal["Input", "Ground truth", "Base / novel"]
PICTURES: tuple[Picture, ...] = get_args(Picture)
"""Titles of the columns that no model makes, in the order of the figure."""
INPUT, TRUTH, ROLES = PICTURES
ALL_MASKS = {"mask_share": 1, "mask_corners": 0}
# Behind the star of a method that was trained a second time on its own predictions.
STAR = "*"


@dataclass(frozen=True)
class Column:
    """A model that can be compared.

    Attributes:
        name: of its method; with its seed where several models have the same one.
        path: its weights file.
        card: what that says of itself.
    """

    name: str
    path: Path
    card: Card

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights file, in hex."""
        state = self.path.stat()
        return _digest(self.path, state.st_size, state.st_mtime_ns)


def find_columns(classes: Sequence[str] | None, folders: Iterable[Path] | None = None) -> list[Column]:
    """The models of these classes, in the order of `METHOD_ORDER`; a file whose card cannot be read is passed over.

    Args:
        classes: the data set's, in order; None takes those that most models have.
        folders: searched with all folders in them. What a later one holds only stands in for what the earlier ones
            lack (same method, same roles). None: the weights folder, then the shipped weights.
    """
    found: list[Column] = []
    for folder in dict.fromkeys(folders if folders is not None else (weights_folder(), WEIGHTS)):
        columns = _columns_in(folder)
        if classes is None and columns:
            of_each = [column.card.classes for column in columns]
            classes = max(of_each, key=of_each.count)
        known = {(column.name, column.card.roles) for column in found}
        fitting = (column for column in columns if column.card.classes == tuple(classes or ()))
        found += [column for column in fitting if (column.name, column.card.roles) not in known]
    return sorted(found, key=_place)


def method_of(card: Card) -> str | None:
    """The method a model was trained by; None if its card does not say."""
    if card.kind == "cam":
        return CAM
    settings = card.training
    if settings and (masks := GivenMasks.noted(settings)) is not None:
        whole = card.model_copy(update={"training": settings | ALL_MASKS})
        return f"{method_of(whole)}, {masks.title}"
    if not card.novel:
        return ORACLE
    if not settings:  # converted: the authors' own
        return SIMFORMER
    training = Training.noted(settings)
    if training.pseudo == "predictions":
        return _second_training(settings.get("teacher"))
    return NAME_OF_TRAINING.get(training)


def simformers(cards: Mapping[str, Card]) -> tuple[str, ...]:
    """Which of the models to show or compose where there is room for one a role set: SimFormers first.

    A model of another method stands in where no SimFormer has its roles. A card that does not say its method is
    somebody's own training of SimFormer, who knows.
    """
    sure = {name for name, card in cards.items() if method_of(card) in (SIMFORMER, None)}
    known = {cards[name].roles for name in sure}
    return tuple(name for name, card in cards.items() if name in sure or card.roles not in known)


def known_splits(classes: Sequence[str], columns: Iterable[Column]) -> dict[str, Split]:
    """The splits of the data set with these classes, then those that only the models have; by name."""
    classes = tuple(classes)
    dataset = next((name for name in datasets() if dataset_classes(name) == classes), None)
    splits: dict[str, Split] = {}
    if dataset is not None:
        splits = {name: load_split(dataset, name) for name in split_names(dataset) if name != ALL_BASE}
    for card in (column.card for column in columns):
        if card.kind == "cam" or not card.novel or any(split.novel == card.novel for split in splits.values()):
            continue
        name = card.split
        if name in splits:
            name = ", ".join(classes[index] for index in card.novel)
        splits[name] = Split(card.dataset, name, classes, card.novel)
    return splits


def columns_of(split: Split, columns: Iterable[Column]) -> list[Column]:
    """The models of a split, under names of which no two are the same: its own, CAM and FullyOracle."""
    fitting = [
        column
        for column in columns
        if column.card.kind == "cam" or not column.card.novel or column.card.novel == split.novel
    ]
    names = [column.name for column in fitting]
    named: dict[str, Column] = {}
    for column in fitting:
        name = column.name
        if names.count(name) > 1 and (seed := column.card.training.get("seed")):
            name = f"{name} (seed {seed})"
        same = sum(other == name or other.startswith(f"{name} (") for other in named) if name in named else 0
        named[f"{name} ({same + 1})" if same else name] = column
    return [replace(column, name=name) for name, column in named.items()]


def choose_columns(available: Sequence[Column], names: Sequence[str]) -> list[Column]:
    """The columns of these names, as they are written or in small letters, in the order in which they are named.

    Raises:
        ConfigError: there is no such column; names those there are.
    """
    by_name = {column.name.lower(): column for column in available}
    for name in names:
        if name.strip().lower() not in by_name:
            there = ", ".join(column.name for column in available) or "none"
            raise ConfigError(f"there is no model of the method {name.strip()!r} for this split; there is {there}")
    return [by_name[name] for name in dict.fromkeys(name.strip().lower() for name in names)]


def listed_names(text: str, available: Iterable[str]) -> list[str]:
    """The names in a list with commas between, such as "CAM,SimFormer, masks on 25 % of the photos".

    A name may hold commas: as many pieces as together make an available one (in small letters, too) are one name.
    """
    known = {name.lower() for name in available}
    longest = max((1 + name.count(",") for name in known), default=1)
    pieces, names = text.split(","), []
    while pieces:
        ends = range(min(longest, len(pieces)), 0, -1)
        end = next((end for end in ends if ",".join(pieces[:end]).strip().lower() in known), 1)
        names.append(",".join(pieces[:end]).strip())
        del pieces[:end]
    return [name for name in names if name]


def usual_columns(available: Sequence[Column]) -> list[Column]:
    """The methods that the paper's figures show, and SimFormer's best variant; all where not two of these are there."""
    usual = [CAM, "WSSS (CAM)", "WSSS (RIB)", "RETAB", SIMFORMER, "SimFormer+", ORACLE]
    chosen = [column for column in available if column.name in usual]
    return chosen if len(chosen) > 1 else list(available)


def usual_pair(columns: Sequence[Column]) -> tuple[str, str] | None:
    """The two columns to compare unless others are asked for: SimFormer, and what stands before it; None if one."""
    names = [column.name for column in columns]
    if len(names) < 2:
        return None
    first = names.index(SIMFORMER) if SIMFORMER in names else len(names) - 1
    return names[first], names[first - 1 if first else 1]


@cache
def _digest(path: Path, size: int, modified_ns: int) -> str:
    """Remembered as long as the file stays what it is."""
    return digest(path)


def _columns_in(folder: Path) -> list[Column]:
    columns = []
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        try:
            card = read_card(path)
        except CheckpointError:  # among runs lie a teacher's weights, which have no card, and files half written
            continue
        columns.append(Column(method_of(card) or path.stem, path, card))
    return columns


def _second_training(teacher: str | None) -> str | None:
    try:
        first = None if teacher is None else method_of(read_card(find_weights(teacher)))
    except CheckpointError:
        return None
    return first and first + STAR


def _place(column: Column) -> tuple[int, str, int, str]:
    known = METHOD_ORDER.index(column.name) if column.name in METHOD_ORDER else len(METHOD_ORDER)
    return known, column.name, column.card.training.get("seed") or 0, str(column.path)
