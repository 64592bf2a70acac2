"""Which classes get masks: by split, as a plan has them, and as a model wants to be told."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from simformer.errors import ConfigError
from simformer.splits import Role, class_index, datasets, load_split

FIRST_SPLIT = "s1"
"""Whose base classes get masks until somebody says which."""


def matching_datasets(names: Collection[str]) -> list[str]:
    """Data sets with exactly these classes, whose splits therefore fit."""
    return [name for name in datasets() if set(load_split(name, "all_base").classes) == set(names)]


def present_roles(names: Collection[str], split: str | None = None, dataset: str | None = None) -> list[str]:
    """The classes that get masks under a split of the data set (of `dataset`, where it is named) with these classes.

    Raises:
        ConfigError: the splits of no data set are of these classes, or there is no such split.
    """
    fitting = [name for name in matching_datasets(names) if dataset in (None, name)]
    if not fitting:
        raise ConfigError("name the classes that get masks: these are not the classes of a data set with splits")
    return split_masked(fitting[0], split or FIRST_SPLIT)


def split_masked(dataset: str, split: str) -> list[str]:
    """The classes that get masks under a shipped split. Raises ConfigError for an unknown one."""
    roles = load_split(dataset, split)
    return [roles.classes[index] for index in roles.base]


def roles_for(classes: Sequence[str], names: Collection[str], masked: Collection[str]) -> tuple[Role, ...]:
    """A plan's roles in the order of a model's classes.

    Args:
        classes: those of the model. names: those of the plan. masked: those of them that get masks.

    Raises:
        ConfigError: the plan is made for other classes; the sentence names one.
        UnknownClassError: a masked class is not among the plan's.
    """
    if not classes:
        raise ConfigError("the Segment tab has no model that these roles could be sent to")
    names = tuple(names)
    for name in masked:
        class_index(names, name)
    if set(names) != set(classes):
        lacking = [name for name in classes if name not in names]
        unknown = [name for name in names if name not in classes]
        why = f"do not know {unknown[0]!r}" if unknown else f"also need a role for {lacking[0]!r}"
        raise ConfigError(f"only plans for the models' own {len(classes)} classes fit the Segment tab: they {why}")
    return tuple("base" if name in masked else "novel" for name in classes)
