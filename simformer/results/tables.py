"""Measured and published results as tidy tables, from which the plots are made.

Nothing here fills a gap: a cell that was never measured is a row whose IoU is None.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel

from simformer.results.cells import ALL, ResultCell, cell_split, mean_iou, result_name
from simformer.splits import Role, Split, load_split, split_order

Group = Literal["all", "base", "novel"]
GROUPS: tuple[Group, ...] = ("all", "base", "novel")
# What the tables of a data set that ships several are called where people read it; elsewhere their schedule.
TABLE_TITLES = {"msrc21": "latest", "msrc21_cpu": "earlier, with dropout"}


@dataclass(frozen=True)
class MiouRow:
    """Mean IoU of one method on one split over one group of classes.

    Attributes:
        origin: "measured" by this project, or "published" in the paper.
        table: measured: the cells' schedule; published: "points", "pairing" or "more novel classes".
        points: J, where the method has it.
        group: over which classes of the split the mean is taken.
        novel_share: share of the split's classes that are novel, in [0, 1].
        miou: percent, mean over seeds; None = missing.
        lowest, highest: over seeds, percent; None = missing.
        seeds: how many cells the mean is over.
        files: names of their JSON files.
    """

    origin: Literal["measured", "published"]
    dataset: str
    table: str
    method: str
    split: str
    points: int | None
    label_rule: str | None
    group: Group
    novel_share: float
    miou: float | None
    lowest: float | None
    highest: float | None
    seeds: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassRow:
    """IoU of one class under one method on one split.

    Attributes:
        role: the class's role on the split. A method trained once for all splits (CAM, FullyOracle) was not
            trained in that role; it is listed under the split for comparison.
        iou: percent, mean over seeds; None = missing, or the truth never shows the class.
        seeds: how many cells have an IoU for the class.
    """

    dataset: str
    table: str
    method: str
    split: str
    points: int | None
    label_rule: str | None
    class_name: str
    role: Role
    iou: float | None
    seeds: int


# ---------------------------------------------------------------------------------------------- roles


def scores_on_split(cell: ResultCell, split: Split) -> dict[Group, float | None]:
    """Mean IoU over all, base and novel classes of a split, from a cell's per-class IoU.

    So a method that is trained once (CAM, FullyOracle) takes its place beside methods trained per split.

    Returns:
        {"all", "base", "novel"}: percent, or None where no class of the group has an IoU.
    """
    iou = cell.scores.per_class
    roles = list(zip(split.classes, split.roles, strict=True))
    return {group: mean_iou(iou.get(name) for name, role in roles if group in ("all", role)) for group in GROUPS}


def of_table(
    cells: Iterable[ResultCell], dataset: str, schedule: str | None = None, label_rule: str = "strict"
) -> list[ResultCell]:
    """The cells of one table of a data set; without a schedule those of all its tables."""
    return [
        cell
        for cell in cells
        if (cell.dataset, cell.label_rule) == (dataset, label_rule) and schedule in (None, cell.schedule)
    ]


# ---------------------------------------------------------------------------------------------- tables


def miou_table(
    cells: Iterable[ResultCell], *, methods: Sequence[str] | None = None, splits: Sequence[str] | None = None
) -> list[MiouRow]:
    """Measured mean IoU: for every method and split one row over all, one over base, one over novel classes.

    Cells that differ in the seed alone are averaged. A method trained once for all splits has rows on each.

    Args:
        methods: rows for these, in this order; None: those that have a cell.
        splits: rows for these, in this order; None: every split on which some method of the table has a cell.

    Returns:
        Rows by data set and table, method, split, group. A wanted cell that is missing has rows with None.
    """
    rows = []
    for variant, split, found in _grid(cells, methods, splits):
        scores = [scores_on_split(cell, split) for cell in found]
        for group in GROUPS:
            values = [value for score in scores if (value := score[group]) is not None]
            rows.append(
                MiouRow(
                    "measured",
                    **variant,
                    group=group,
                    novel_share=split.novel_share,
                    miou=mean_iou(values),
                    lowest=min(values, default=None),
                    highest=max(values, default=None),
                    seeds=len(values),
                    files=tuple(cell.file or result_name(cell) for cell in found),
                )
            )
    return rows


def per_class_table(
    cells: Iterable[ResultCell], *, methods: Sequence[str] | None = None, splits: Sequence[str] | None = None
) -> list[ClassRow]:
    """Measured IoU of every class under every method and split; arguments and order as in `miou_table`."""
    rows = []
    for variant, split, found in _grid(cells, methods, splits):
        for name, role in zip(split.classes, split.roles, strict=True):
            values = [iou for cell in found if (iou := cell.scores.per_class.get(name)) is not None]
            rows.append(ClassRow(**variant, class_name=name, role=role, iou=mean_iou(values), seeds=len(values)))
    return rows


def _grid(
    cells: Iterable[ResultCell], methods: Sequence[str] | None, splits: Sequence[str] | None
) -> Iterator[tuple[dict[str, Any], Split, list[ResultCell]]]:
    """Every wanted cell of every table: row fields of the method, the split, and the cells (perhaps none)."""
    tables: dict[tuple[str, str], list[ResultCell]] = defaultdict(list)
    for cell in cells:
        tables[cell.dataset, cell.schedule].append(cell)
    for (dataset, schedule), table in sorted(tables.items()):
        trained = {cell.split: cell_split(cell) for cell in table}
        names = splits or sorted(trained.keys() - {ALL}, key=split_order) or [ALL]
        for method in methods or sorted({cell.method for cell in table}):
            variants: dict[tuple, list[ResultCell]] = defaultdict(list)
            for cell in table:
                if cell.method == method:
                    variants[cell.points or 0, cell.label_rule].append(cell)
            for (points, label_rule), same in sorted(variants.items()) or [((0, None), [])]:
                fields = {
                    "dataset": dataset,
                    "table": schedule,
                    "method": method,
                    "points": points or None,
                    "label_rule": label_rule,
                }
                for name in names:
                    found = [cell for cell in same if cell.split in (name, ALL)]
                    yield {**fields, "split": name}, trained.get(name) or load_split(dataset, name), found


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet runs begins with one of these."""


def to_csv(rows: Sequence[Any]) -> str:
    """Rows (dataclasses, pydantic models or dictionaries, all with the same fields) as CSV text.

    A value that is missing is an empty field; a tuple or list is joined by "; ". No rows, no text. Text that a
    spreadsheet would take for a formula gets an apostrophe before it.
    """
    tables = [_fields(row) for row in rows]
    if not tables:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(tables[0]), lineterminator="\n")
    writer.writeheader()
    for row in tables:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    text = "; ".join(value) if isinstance(value, tuple | list) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(FORMULA) else text


def _fields(row: Any) -> dict[str, Any]:
    if isinstance(row, BaseModel):
        return row.model_dump()
    return dict(row) if isinstance(row, dict) else asdict(row)
