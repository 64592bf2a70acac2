"""What can be said of a plan's classes, by what was measured of them.

From most to least: role sets of these classes were trained; only FullyOracle (and CAM) was, a pilot; nothing was, and
the measured data sets say which share of full masks' IoU such a plan keeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from simformer.costs.carried import carried_over, for_classes, in_shares, pooled
from simformer.costs.expectation import RoleModel, fit_roles
from simformer.costs.expected import COCO_STUFF, Expectation, NotMeasured, PaperSplits
from simformer.costs.mask_share import MaskCurves, mask_curves
from simformer.costs.role_expectation import RoleExpectation
from simformer.costs.role_fits import TERMS, Array
from simformer.costs.role_sets import FEWEST_SETS, ORACLE, PREFERRED, MeasuredSets, table_sets
from simformer.errors import ConfigError
from simformer.paths import RESULTS
from simformer.results import RESULTS_FOLDER, TABLE_TITLES, Folders, ResultCell, of_table, read_results
from simformer.splits import DATASET_TITLES, dataset_classes, datasets

PAPER = "paper"
SHARES = "shares"
NOT_MEASURED = "none"
_FEWEST_TO_FIT = 2


def planning_cells(folder: Folders, report: Callable[[str], None]) -> list[ResultCell]:
    """All results that plans may rest on, those of part of the masks too.

    Where $SIMFORMER_RESULTS names a folder of one's own, the shipped ones stand beside it: what a pilot's classes lose
    without masks, other data sets say.

    Args:
        folder, report: as `read_results`.
    """
    folders = (Path(folder),) if isinstance(folder, str | Path) else tuple(folder)
    if RESULTS_FOLDER in folders and RESULTS not in folders:
        folders = (*folders, RESULTS)
    return read_results(folders, report=report, part_masked=True)


def expectation_choices(cells: Iterable[ResultCell]) -> list[tuple[str, str]]:
    """(label, key) of everything that can say what mIoU to expect; measured tables first, own data last of them."""
    cells = list(cells)
    measured = _tables(cells)
    several = Counter(dataset for dataset, _ in measured)
    choices = []
    for dataset, schedule in measured:
        which = f" ({TABLE_TITLES.get(schedule, schedule)})" if several[dataset] > 1 else ""
        choices.append((f"{DATASET_TITLES.get(dataset, dataset)}, measured{which}", f"{dataset}/{schedule}"))
    if _fitted_tables(cells):
        choices.append(("Other classes: all measured data sets, in % of full masks' IoU", SHARES))
    paper = ("COCO-Stuff-10K, the paper's splits 4 to 9", PAPER)
    return [*(choices or [("Nothing is measured yet", NOT_MEASURED)]), paper]


def fitting_expectation(cells: Iterable[ResultCell], names: Collection[str], dataset: str | None = None) -> str | None:
    """The first key of `expectation_choices` that knows all of these classes: of a table that has measured them, else
    of the paper for those of COCO-Stuff-10K; None if none does.

    Args:
        dataset: only its tables; None = those of all.
    """
    cells = list(cells)
    for name, schedule in _tables(cells):
        if dataset in (None, name):
            known = {label for cell in of_table(cells, name, schedule) for label in cell.scores.per_class}
            if set(names) <= known:
                return f"{name}/{schedule}"
    return PAPER if set(names) == set(dataset_classes(COCO_STUFF)) else None


def default_expectation(cells: Iterable[ResultCell], names: Collection[str], dataset: str | None = None) -> str:
    """What fits the classes; if nothing does, what the measured data sets say in shares, if anything."""
    cells = list(cells)
    return fitting_expectation(cells, names, dataset) or (SHARES if _fitted_tables(cells) else NOT_MEASURED)


def expectation(cells: Iterable[ResultCell], key: str, names: Sequence[str], mask_share: float = 1.0) -> Expectation:
    """What a key of `expectation_choices` says of a plan's classes.

    Args:
        cells: for a `mask_share` also part-masked ones.
        mask_share: of the photos, above 0 to 1, those in which masks are drawn.

    Raises:
        ConfigError: the key is unknown.
    """
    cells = list(cells)
    if mask_share < 1:
        return _part_masked(cells, key, names, mask_share)
    if key == PAPER:
        return PaperSplits()
    cells = of_strict(cells)
    if key == NOT_MEASURED:
        return NotMeasured()
    if key == SHARES:
        return _in_shares(_fitted_tables(cells), names)
    dataset, _, schedule = key.partition("/")
    table = of_table(cells, dataset, schedule)
    if not table:
        known = ", ".join(choice for _, choice in expectation_choices(cells))
        raise ConfigError(f"there are no measured results of the table {key!r}; there are {known}")
    measured = fullest(table)
    others = [found for found in _fitted_tables(cells) if found[0].dataset != dataset]
    if measured is None:
        return NotMeasured(f"Not measured: the table {key} has no {ORACLE}.")
    if not set(names) <= set(measured.classes):
        enough = len(measured.sets) >= _FEWEST_TO_FIT
        return _in_shares([(measured, _cam(table, measured.classes))] if enough else others, names)
    labels = _cam(table, measured.classes)
    order = [measured.classes.index(name) for name in names]
    if len(measured.sets) >= _FEWEST_TO_FIT:
        return RoleExpectation(for_classes(fit_roles(measured), names), labels[order], "role sets", "")
    if not others:
        return NotMeasured(f"Not measured: expectations need {_FEWEST_TO_FIT} role sets; {key} has less.")
    model = pooled([carried_over(_fit_for(one, measured), measured) for one, _ in others])
    about = f"Of these classes {ORACLE} alone was measured: what novel ones keep of it is from {_named(others)}."
    return RoleExpectation(for_classes(model, names), labels[order], "pilot", about)


def known_shares(cells: Iterable[ResultCell], key: str) -> MaskCurves | None:
    """What masks on part of the photos keep in the table of a key of `expectation_choices`, if that was measured.

    Args:
        cells: also part-masked ones.
    """
    cells = list(cells)
    measured = fitted_sets(cells, key)
    return None if measured is None else mask_curves(cells, key, measured.method)


def _part_masked(cells: list[ResultCell], key: str, names: Sequence[str], share: float) -> Expectation:
    """With masks on a share of the photos."""
    measured, curves = fitted_sets(cells, key), known_shares(cells, key)
    if measured is None or curves is None or not set(names) <= set(measured.classes):
        return NotMeasured(f"Not measured: what masks on {share:.0%} of the photos keep is not known of these classes.")
    if share < curves.least:
        return NotMeasured(f"Not measured: masks on less than {curves.least:.0%} of the photos were not tried.")
    labels = _cam(of_table(of_strict(cells), measured.dataset, measured.schedule), measured.classes)
    order = [measured.classes.index(name) for name in names]
    model = for_classes(fit_roles(curves.applied(measured, share)), names)
    return RoleExpectation(model, labels[order], "role sets", "")


def fullest(table: Sequence[ResultCell]) -> MeasuredSets | None:
    """The role sets of the method that says most: the first of `PREFERRED` with enough, else with most of them.

    None without a FullyOracle.
    """
    found = [sets for method in PREFERRED if (sets := table_sets(table, method)) is not None]
    enough = [sets for sets in found if len(sets.sets) >= FEWEST_SETS]
    return next(iter(enough), None) or max(found, key=lambda sets: len(sets.sets), default=None)


def fitted_sets(cells: Iterable[ResultCell], key: str) -> MeasuredSets | None:
    """The role sets to which the expectation of a key of `expectation_choices` is fitted; None if it is not to one
    table's, or to too few."""
    dataset, _, schedule = key.partition("/")
    measured = fullest(of_table(of_strict(cells), dataset, schedule))
    return measured if measured is not None and len(measured.sets) >= _FEWEST_TO_FIT else None


def of_strict(cells: Iterable[ResultCell]) -> list[ResultCell]:
    """Cells whose training saw image-level labels alone for novel classes, and all masks of base ones."""
    return [cell for cell in cells if cell.label_rule == "strict" and cell.masks is None]


_Table = tuple[MeasuredSets, Array]


def _in_shares(tables: Sequence[_Table], names: Sequence[str]) -> Expectation:
    """For classes of which nothing is measured: percent of FullyOracle's IoU."""
    if not tables:
        return NotMeasured("Not measured: no data set has role sets enough to tell.")
    whole = np.full(len(names), 100.0)
    classes = MeasuredSets("", tables[0][0].method, "", tuple(names), whole, (), None)
    model = pooled([carried_over(in_shares(_fit_for(measured, classes)), classes) for measured, _ in tables])
    kept = [np.nanmean(labels) / np.nanmean(measured.oracle) for measured, labels in tables]
    about = f"Nothing is measured of these classes: figures are percent of full masks' IoU, from {_named(tables)}."
    return RoleExpectation(model, np.full(len(names), 100 * float(np.mean(kept))), "other data sets", about, "share")


def _fit_for(measured: MeasuredSets, classes: MeasuredSets) -> RoleModel:
    """Fitted without what the classes that it is carried over to cannot tell: which of them share photos."""
    return fit_roles(measured, TERMS if classes.together is not None else ("count", "class"))


def _named(tables: Sequence[_Table]) -> str:
    return " and ".join(DATASET_TITLES.get(measured.dataset, measured.dataset) for measured, _ in tables)


def _fitted_tables(cells: Iterable[ResultCell]) -> list[_Table]:
    """Of every shipped data set the first table with enough role sets, and CAM's IoU beside it."""
    cells = of_strict(cells)
    found: dict[str, _Table] = {}
    for dataset, schedule in _tables(cells):
        table = of_table(cells, dataset, schedule)
        measured = fullest(table)
        if dataset in datasets() and dataset not in found and measured and len(measured.sets) >= FEWEST_SETS:
            found[dataset] = (measured, _cam(table, measured.classes))
    return list(found.values())


def _cam(table: Iterable[ResultCell], classes: Sequence[str]) -> Array:
    """CAM's IoU of every class, mean over cells; NaN where it was not measured."""
    rows = [[cell.scores.per_class.get(name) for name in classes] for cell in table if cell.method == "CAM"]
    return np.mean(np.array(rows, dtype=float), axis=0) if rows else np.full(len(classes), np.nan)


def _tables(cells: Iterable[ResultCell]) -> list[tuple[str, str]]:
    """(data set, schedule) of every table; of one data set's that which measured SimFormer most often is the first."""
    strict = of_strict(cells)
    measured = Counter((cell.dataset, cell.schedule) for cell in strict if cell.method in PREFERRED)
    tables = {(cell.dataset, cell.schedule) for cell in strict}
    return sorted(tables, key=lambda table: (table[0] not in datasets(), table[0], -measured[table], table))
