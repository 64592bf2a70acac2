"""Which classes are base (pixel masks in training) and which are novel (image-level labels only)."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, cast

from simformer.errors import ConfigError, DatasetError, UnknownClassError
from simformer.paths import DATA

Role = Literal["base", "novel"]

ALL_BASE = "all_base"
DATASET_TITLES = {
    "msrc21": "MSRC-21",
    "nyuv2": "NYUv2",
    "coco_stuff_10k": "COCO-Stuff-10K",
    "ade20k": "ADE20K",
    "custom": "Own data",
}
"""What people call the data sets; "custom" is anybody's own."""
ROLE_SET = r"r\d+-[0-9a-f]{4}"
"""Names of role sets that a table drew at random (`train.tables.draws`), as a regular expression: "r02-c348"."""
_SPLITS = DATA / "splits.json"


class Roles(tuple[Role, ...]):
    """The role of every class, "base" or "novel", in class order: hashable, and equal to a plain tuple of these words.

    `str` is their compact form, "roles-bbn", for addresses and a page's state; `Roles.parse` reads it.

    Raises:
        ConfigError: a word is no role.
    """

    _TEXT = "roles-"
    _LETTERS: ClassVar[dict[str, str]] = {"b": "base", "n": "novel"}

    def __new__(cls, roles: Iterable[str]) -> Roles:
        words = tuple(roles)
        if unknown := set(words) - {"base", "novel"}:
            raise ConfigError(f"a role is base or novel, not {min(unknown)!r}")
        return super().__new__(cls, cast("tuple[Role, ...]", words))

    @classmethod
    def with_base(cls, classes: Iterable[str], base: Collection[str]) -> Roles:
        """The classes named in `base` have masks, the others do not."""
        return cls("base" if name in base else "novel" for name in classes)

    @classmethod
    def parse(cls, text: str | None) -> Roles | None:
        """The roles that `str` has written; None for any other text."""
        letters = text.removeprefix(cls._TEXT) if text and text.startswith(cls._TEXT) else ""
        if not letters or set(letters) - cls._LETTERS.keys():
            return None
        return cls(cls._LETTERS[letter] for letter in letters)

    def __str__(self) -> str:
        return self._TEXT + "".join(role[0] for role in self)

    def base_of(self, classes: Sequence[str]) -> list[str]:
        """Names of the base classes, of as many classes as there are roles."""
        return [name for name, role in zip(classes, self, strict=True) if role == "base"]


@dataclass(frozen=True)
class Split:
    """A data set's classes, each base or novel (paper, section 3.1).

    Attributes:
        dataset: "coco_stuff_10k", "ade20k", "msrc21", "nyuv2" or "custom".
        name: "s1", "s2", ..., "all_base" (every class has masks: FullyOracle), or a name of one's own.
        classes: all K class names; a class index is a position here.
        novel: indices of the novel classes, ascending.
    """

    dataset: str
    name: str
    classes: tuple[str, ...]
    novel: tuple[int, ...]

    @property
    def base(self) -> tuple[int, ...]:
        """Indices of the base classes, ascending."""
        return tuple(sorted(set(range(len(self.classes))) - set(self.novel)))

    @property
    def novel_share(self) -> float:
        """Share of the classes that are novel, in [0, 1]."""
        return len(self.novel) / len(self.classes)

    @property
    def roles(self) -> Roles:
        """The role of every class, in the order of `classes`."""
        novel = set(self.novel)
        return Roles("novel" if index in novel else "base" for index in range(len(self.classes)))


def datasets() -> tuple[str, ...]:
    """Names of the data sets whose splits ship with the package."""
    return tuple(_table())


def dataset_classes(dataset: str) -> tuple[str, ...]:
    """Class names of a data set, in index order. Raises ConfigError for an unknown data set."""
    return tuple(name.strip() for name in _entry(dataset)["classes"])


def split_names(dataset: str) -> tuple[str, ...]:
    """Names that `load_split` knows for a data set: its weak-shot splits, then "all_base"."""
    return (*_entry(dataset)["novel"], ALL_BASE)


def split_label(name: str) -> str:
    """What people call a split, after the word: "1" is s1, other names stay."""
    if name[:1] == "s" and name[1:].isdecimal():
        return name[1:]
    return "all base" if name == ALL_BASE else name


def split_choice(name: str, classes: Sequence[str], novel: Iterable[int], most: int = 5) -> str:
    """A split in a menu, with its novel classes: "Split 2: cow, aeroplane and 3 more", "Role set r02-c348: face, road".

    Args:
        novel: indices of the novel classes. most: so many are named; of more the last are counted.
    """
    names = [classes[index] for index in novel]
    listed, rest = (names, 0) if len(names) <= most else (names[: most - 1], len(names) - most + 1)
    text = ", ".join(listed) + (f" and {rest} more" if rest else "")
    kind = "Role set" if re.fullmatch(ROLE_SET, name) else "Split"
    return f"{kind} {split_label(name)}: {text}" if text else f"{kind} {split_label(name)}"


def load_split(dataset: str, name: str) -> Split:
    """Read one of the shipped splits.

    Args:
        dataset: "coco_stuff_10k", "ade20k" (the paper's splits), "msrc21" or "nyuv2" (this project's own).
        name: "s1", "s2", ... or "all_base", in which no class is novel.

    Raises:
        ConfigError: no such data set, or no such split of it.
    """
    novel = {**_entry(dataset)["novel"], ALL_BASE: ()}
    if name not in novel:
        raise ConfigError(f"{dataset} has no split {name!r}; its splits are {', '.join(novel)}")
    return Split(dataset, name, dataset_classes(dataset), tuple(sorted(novel[name])))


def custom_split(classes: Sequence[str], novel_names: Iterable[str], name: str = "custom") -> Split:
    """Make a split of one's own classes; its name tells it from other choices of novel classes.

    Raises:
        UnknownClassError: a novel name is not among the classes.
        ConfigError: a class is listed twice.
    """
    classes = tuple(classes)
    if len(set(classes)) < len(classes):
        repeated = next(name for name in classes if classes.count(name) > 1)
        raise ConfigError(f"the class {repeated!r} is listed twice")
    novel = {class_index(classes, name) for name in novel_names}
    return Split("custom", name, classes, tuple(sorted(novel)))


def shipped_choice(dataset: str, name: str) -> str:
    """`split_choice` of a split that ships; for a name that is none of its data set's, the name alone."""
    if dataset not in datasets() or name not in split_names(dataset):
        return f"Split {split_label(name)}"
    split = load_split(dataset, name)
    return split_choice(name, split.classes, split.novel)


def named_roles(dataset: str, classes: Sequence[str], text: str) -> Roles:
    """The roles of a split of the data set ("s2"), or with the named classes ("cat,dog") novel and all others base.

    Raises:
        UnknownClassError: the text is neither a split nor classes. ConfigError: it names a class twice.
    """
    if dataset in datasets() and text in split_names(dataset):
        return load_split(dataset, text).roles
    return custom_split(classes, [name.strip() for name in text.split(",")]).roles


def split_order(name: str) -> tuple[bool, int, str]:
    """Key that sorts splits: s2 before s10, names of one's own behind the numbered ones."""
    numbered = name[:1] == "s" and name[1:].isdecimal()
    return (not numbered, int(name[1:]) if numbered else 0, name)


def class_lines(text: str, path: Path) -> list[str]:
    """Class names of a text file, one a line; the line's number is the index, so that no line but the last is blank.

    Raises:
        DatasetError: a blank line, which would shift all classes behind it.
    """
    names = [line.strip() for line in text.rstrip().splitlines()]
    if "" in names:
        raise DatasetError(f"{path}, line {names.index('') + 1}: no class; every line is an index, name them all")
    return names


def listed_classes(root: str | Path) -> tuple[str, ...]:
    """Class names in a folder data set's classes.txt; none where it cannot be read, as opening the data set will say.

    Raises:
        DatasetError: a blank line.
    """
    path = Path(root) / "classes.txt"
    try:
        return tuple(class_lines(path.read_text(encoding="utf-8-sig"), path))
    except (OSError, UnicodeDecodeError):
        return ()


def class_index(classes: Sequence[str], name: str) -> int:
    """Position of a class name. Raises UnknownClassError, which names the nearest known class."""
    if name in classes:
        return classes.index(name)
    near = difflib.get_close_matches(name, classes, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the classes are {', '.join(classes)}"
    raise UnknownClassError(f"there is no class {name!r}; {hint}")


@cache
def _table() -> dict:
    return json.loads(_SPLITS.read_text(encoding="utf-8"))


def _entry(dataset: str) -> dict:
    if dataset not in _table():
        raise ConfigError(f"there are no splits of {dataset!r}; the data sets are {', '.join(_table())}")
    return _table()[dataset]
