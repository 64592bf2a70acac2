"""What trainings measured of role sets: which classes were novel, and every class's IoU then.

A role set names the novel classes of a data set; all others are base.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simformer.costs.frequency import shipped_together
from simformer.errors import ConfigError
from simformer.results import ALL, ResultCell, cell_split

ORACLE = "FullyOracle"
PREFERRED = ("SimFormer+", "SimFormer")
"""Whose role sets are modelled if nobody says otherwise: the first that measured enough of them."""
FEWEST_SETS = 4


@dataclass(frozen=True)
class RoleSet:
    """One role set and its trainings.

    Attributes:
        name: of the split.
        novel: bool, K.
        iou: float64, seeds x K, percent; NaN where the truth never shows the class.
    """

    name: str
    novel: NDArray[np.bool_]
    iou: NDArray[np.float64]

    @property
    def mean_iou(self) -> NDArray[np.float64]:
        """IoU of every class in percent, mean over seeds, float64, K."""
        return self.iou.mean(axis=0)

    def nested_with(self, other: RoleSet) -> bool:
        """Whether the novel classes of one are among those of the other."""
        both = (self.novel & other.novel).sum()
        return bool(both == min(self.novel.sum(), other.novel.sum()))


@dataclass(frozen=True)
class MeasuredSets:
    """Role sets of one data set, one method and one table, beside FullyOracle of the same table.

    Attributes:
        classes: all K names.
        oracle: FullyOracle's IoU in percent, float64, K; NaN where the truth never shows the class.
        sets: each with at least one novel and one base class, no two alike.
        together: float64, K x K: of the photos that show class c, the share (0 to 1) that show class d too, 0 on the
            diagonal; None = not counted.
        whole: IoU where every class has masks on part of the photos, as `sets` then have; None = on all: `oracle`.
        given: sentences on that, where some classes have masks and where all have; None = all photos have them.
    """

    dataset: str
    method: str
    schedule: str
    classes: tuple[str, ...]
    oracle: NDArray[np.float64]
    sets: tuple[RoleSet, ...]
    together: NDArray[np.float64] | None = None
    whole: NDArray[np.float64] | None = None
    given: tuple[str, str] | None = None

    def unrelated_to(self, role_set: RoleSet) -> MeasuredSets:
        """Without this role set and those nested with it."""
        return replace(self, sets=tuple(other for other in self.sets if not other.nested_with(role_set)))

    def kept(self, iou: NDArray[np.float64]) -> NDArray[np.float64]:
        """IoU of every class as a share of FullyOracle's, float64, K; NaN where that recognizes nothing."""
        return np.divide(iou, self.oracle, out=np.full(len(self.classes), np.nan), where=self.oracle > 0)

    def find(self, novel: NDArray[np.bool_]) -> RoleSet | None:
        """The role set with just these novel classes (bool, K), if it was trained."""
        return next((found for found in self.sets if np.array_equal(found.novel, novel)), None)


def measured_sets(cells: Iterable[ResultCell], method: str | None = None) -> dict[str, MeasuredSets]:
    """The role sets that a method measured, a data set's name over them.

    Of a data set's tables that with most role sets is taken; of a method's J (sampled points) the most frequent.

    Args:
        method: None = the first of `PREFERRED` that measured `FEWEST_SETS` role sets of the data set.

    Raises:
        ConfigError: no data set has enough role sets of the method beside a FullyOracle.
    """
    tables: dict[tuple[str, str], list[ResultCell]] = defaultdict(list)
    for cell in cells:
        if cell.label_rule == "strict":
            tables[cell.dataset, cell.schedule].append(cell)
    found: dict[str, MeasuredSets] = {}
    for wanted in (method,) if method else PREFERRED:
        for (dataset, _), table in sorted(tables.items()):
            measured = table_sets(table, wanted)
            if measured is None or len(measured.sets) < FEWEST_SETS:
                continue
            known = found.get(dataset)
            if known is None or (known.method == wanted and len(measured.sets) > len(known.sets)):
                found[dataset] = measured
    if not found:
        who = method or " or ".join(PREFERRED)
        raise ConfigError(f"no table has {FEWEST_SETS} role sets of {who} and a {ORACLE}, which expectations need")
    return found


def sets_like(measured: MeasuredSets, cells: Iterable[ResultCell]) -> MeasuredSets | None:
    """Other role sets that the same method measured in the same table (sealed ones); None if there are none."""
    alike = [c for c in cells if (c.dataset, c.schedule) == (measured.dataset, measured.schedule)]
    sets = _role_sets([cell for cell in alike if cell.method == measured.method], measured.classes)
    return replace(measured, sets=sets) if sets else None


def table_sets(cells: Sequence[ResultCell], method: str) -> MeasuredSets | None:
    """The role sets that a method measured in one table, if any; None without a FullyOracle.

    Args:
        cells: of one table and one data set.
    """
    oracles = [cell for cell in cells if cell.method == ORACLE]
    chosen = [cell for cell in cells if cell.method == method and cell.split != ALL]
    if not oracles:
        return None
    classes = tuple(oracles[0].scores.per_class)
    dataset = oracles[0].dataset
    return MeasuredSets(
        dataset,
        method,
        oracles[0].schedule,
        classes,
        np.mean([_iou(cell, classes) for cell in oracles], axis=0),
        _role_sets(chosen, classes),
        shipped_together(dataset, classes),
    )


def _role_sets(cells: Sequence[ResultCell], classes: tuple[str, ...]) -> tuple[RoleSet, ...]:
    counts = Counter(cell.points for cell in cells)
    points = max(counts, key=lambda value: (counts[value], value or 0), default=None)
    by_roles: dict[frozenset[str], list[ResultCell]] = defaultdict(list)
    for cell in cells:
        if cell.points == points and set(cell.scores.per_class) == set(classes):
            split = cell_split(cell)
            by_roles[frozenset(split.classes[index] for index in split.novel)].append(cell)
    return tuple(_merged(novel, same, classes) for novel, same in by_roles.items() if 0 < len(novel) < len(classes))


def _merged(novel: frozenset[str], cells: Sequence[ResultCell], classes: tuple[str, ...]) -> RoleSet:
    by_seed: dict[int, list[ResultCell]] = defaultdict(list)
    for cell in cells:
        by_seed[cell.seed].append(cell)
    iou = [np.mean([_iou(cell, classes) for cell in by_seed[seed]], axis=0) for seed in sorted(by_seed)]
    return RoleSet(cells[0].split, np.array([name in novel for name in classes]), np.array(iou))


def _iou(cell: ResultCell, classes: Sequence[str]) -> NDArray[np.float64]:
    return np.array([np.nan if (iou := cell.scores.per_class[name]) is None else iou for name in classes])
