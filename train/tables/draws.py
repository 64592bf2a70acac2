"""Role sets drawn at random: sets of novel classes, none of which holds another."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import comb

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simformer.errors import ConfigError
from simformer.splits import ALL_BASE, class_lines, dataset_classes, load_split, split_names
from train.config import TrainConfig

# Exchanges tried per class and set. Where 21 or 37 classes are drawn from, those after the first few change nothing.
_TRIES = 12


class RandomSplits(BaseModel):
    """Role sets that are drawn at random, in place of a group's `splits`.

    Attributes:
        count: how many are drawn, at least 1.
        novel: the smallest and the largest number of novel classes.
        seed: of the draw; those of the trainings are the group's `seeds`.
        first: how many of them to run, 1 to `count`; None: all. Their sizes are spread over the range, too.
        after: an earlier draw; no set here equals or is nested with one of its sets, all `count` of them, or of the
            draw that it came after.
    """

    model_config = ConfigDict(extra="forbid")

    count: int = Field(ge=1)
    novel: tuple[int, int]
    seed: int = Field(0, ge=0)
    first: int | None = Field(None, ge=1)
    after: RandomSplits | None = None

    @model_validator(mode="after")
    def _first_of_them(self) -> RandomSplits:
        if self.first is not None and self.first > self.count:
            raise ValueError(f"the first {self.first} of {self.count} role sets are asked for")
        return self

    def draw(self, classes: tuple[str, ...], shipped: tuple[tuple[str, ...], ...] = ()) -> tuple[RoleSet, ...]:
        """The sets to run. Arguments and errors as in `draw_role_sets`, `shipped` being the first of `earlier`."""
        return self._all(classes, shipped)[: self.first]

    def _all(self, classes: tuple[str, ...], shipped: tuple[tuple[str, ...], ...]) -> tuple[RoleSet, ...]:
        return draw_role_sets(classes, self.count, self.novel, self.seed, self._earlier(classes, shipped))

    def _earlier(self, classes: tuple[str, ...], shipped: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        if self.after is None:
            return shipped
        drawn = self.after._all(classes, shipped)
        return (*self.after._earlier(classes, shipped), *(role_set.novel for role_set in drawn))


@dataclass(frozen=True)
class RoleSet:
    """Novel classes by name, in the order of the data set's classes, and what the set is called."""

    name: str
    novel: tuple[str, ...]


def role_set_name(novel: Collection[str]) -> str:
    """What a set of novel classes is called, whatever draw it came from: r05-3fa2, of five classes.

    The digits are the first of the SHA-256 of the sorted names, one a line in UTF-8.
    """
    digest = hashlib.sha256("\n".join(sorted(novel)).encode()).hexdigest()
    return f"r{len(novel):02d}-{digest[:4]}"


@cache
def draw_role_sets(
    classes: tuple[str, ...],
    count: int,
    novel: tuple[int, int],
    seed: int = 0,
    earlier: tuple[tuple[str, ...], ...] = (),
) -> tuple[RoleSet, ...]:
    """Draws sets of novel classes, none of which holds another.

    Sizes are spread evenly over the range, in an order of which every beginning is spread over it. The number of sets
    that a class is novel in differs by at most one between classes (so that a set of one class can only be drawn where
    no class is in two); pairs of classes are novel together about equally often. The same arguments draw the same sets
    on every machine.

    Args:
        classes: all K class names.
        count: how many sets.
        novel: smallest and largest size, at least 1 and at most K - 1.
        seed: any number from 0 on.
        earlier: novel classes of other sets, none empty, which no new one holds or is held by; they may hold each
            other.

    Raises:
        ConfigError: no such sets are there, or none were found, or two have one name.
    """
    low, high = novel
    wanted = f"{count} role sets of {low} to {high} of {len(classes)} classes"
    if not 1 <= low <= high < len(classes):
        raise ConfigError(f"{wanted} cannot be drawn: a set has at least one novel class and one base class")
    sizes = _sizes(count, low, high)
    # The inequality of Lubell, Yamamoto and Meshalkin.
    if sum(Fraction(1, comb(len(classes), size)) for size in sizes) > 1:
        raise ConfigError(f"{wanted} cannot be drawn: there are not so many of which none holds another")
    index = {name: place for place, name in enumerate(classes)}
    fixed = np.zeros((len(earlier), len(classes)), dtype=np.int64)
    for row, names in zip(fixed, earlier, strict=True):
        row[[index[name] for name in names]] = 1
    search = _Search(sizes, fixed, np.random.default_rng(seed))
    search.run(_TRIES * count * len(classes))
    if search.nested(range(count)):
        raise ConfigError(
            f"{wanted} were not found, of which none holds another or one drawn before: ask for fewer, or other sizes"
        )
    found = [tuple(name for name, chosen in zip(classes, row, strict=True) if chosen) for row in search.members]
    names = [role_set_name(novel) for novel in (*found, *earlier)]
    for place, name in enumerate(names[:count]):
        if name in names[place + 1 :]:
            raise ConfigError(f"two role sets are called {name}: draw with another seed than {seed}")
    return tuple(RoleSet(name, novel) for name, novel in zip(names, found, strict=False))


class _Search:
    """Random exchanges of classes between sets, kept if nothing gets worse.

    Attributes:
        members: count x K, 1 where a class is novel.
    """

    def __init__(self, sizes: list[int], earlier: NDArray[np.int64], rng: np.random.Generator):
        # Of the generator only `random` is used: its stream is the plainest, and integer arithmetic does the rest.
        self._rng = rng
        self._earlier = earlier
        self.members = np.zeros((len(sizes), earlier.shape[1]), dtype=np.int64)
        for row, size in zip(self.members, sizes, strict=True):
            rarest_first = np.lexsort((rng.random(len(row)), self.members.sum(axis=0)))
            row[rarest_first[:size]] = 1

    def run(self, tries: int) -> None:
        for numbers in self._rng.random((tries, 4)).tolist():
            self._try(*numbers)

    def _try(self, *numbers: float) -> None:
        """One exchange. numbers: four in [0, 1) that choose the set, its two classes and the other set."""
        row = int(numbers[0] * len(self.members))
        leaves = _one_of(np.flatnonzero(self.members[row] == 1), numbers[1])
        joins = _one_of(np.flatnonzero(self.members[row] == 0), numbers[2])
        rows = [row]
        often = self.members.sum(axis=0)
        if often[leaves] <= often[joins]:  # the classes would be less balanced, did no set do the reverse
            others = np.flatnonzero(self.members[:, joins] > self.members[:, leaves])
            if not len(others):
                return
            rows.append(_one_of(others, numbers[3]))
        before = self._cost(rows, leaves, joins)
        self._switch(rows, leaves, joins)
        if self._cost(rows, leaves, joins) > before:
            self._switch(rows, leaves, joins)

    def _switch(self, rows: list[int], *pair: int) -> None:
        place = np.ix_(rows, pair)
        self.members[place] = 1 - self.members[place]

    def _cost(self, rows: list[int], *pair: int) -> tuple[int, int]:
        """What an exchange of two classes in these sets can change: nestings, and unevenness of the pairs."""
        together = self.members[:, pair].T @ self.members
        together[:, pair] = 0
        return self.nested(rows), int((together**2).sum())

    def nested(self, rows: Collection[int]) -> int:
        """How many sets, of these and of the earlier ones, hold or are held by one of `rows`, all cases counted."""
        sets = np.concatenate([self.members, self._earlier])
        sizes = sets.sum(axis=1)
        chosen = list(rows)
        held = sets[chosen] @ sets.T == np.minimum(sizes[chosen][:, None], sizes[None])
        return int(held.sum()) - len(chosen)  # each holds itself


def _one_of(places: NDArray[np.intp], number: float) -> int:
    return int(places[int(number * len(places))])


def _sizes(count: int, low: int, high: int) -> list[int]:
    """Sizes in the middle of `count` equal parts of the range, in the order of van der Corput's sequence."""
    ascending = [low + (2 * part + 1) * (high - low + 1) // (2 * count) for part in range(count)]
    order = sorted(range(count), key=lambda place: f"{place:032b}"[::-1])
    sizes = [0] * count
    for size, place in zip(ascending, order, strict=True):
        sizes[place] = size
    return sizes


def drawn_for(config: TrainConfig, random: RandomSplits) -> tuple[RoleSet, ...]:
    """The role sets of a configuration's data set, none nested with a split that ships with it.

    Raises:
        ConfigError: as in `draw_role_sets`, or the data set or its classes.txt is not there.
        DatasetError: classes.txt has a blank line.
    """
    if config.dataset != "custom":
        splits = [load_split(config.dataset, name) for name in split_names(config.dataset) if name != ALL_BASE]
        shipped = tuple(tuple(split.classes[index] for index in split.novel) for split in splits)
        return random.draw(dataset_classes(config.dataset), shipped)
    path = config.data / "classes.txt"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"random_splits needs the classes in {path}, which cannot be read") from error
    return random.draw(tuple(class_lines(text, path)))
