"""How much mask is enough? What trainings reach that were given part of the masks, beside those given all of them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simformer.results.cells import ALL, GivenMasks, ResultCell, cell_split, result_name
from simformer.results.tables import GROUPS, Group, scores_on_split
from simformer.splits import Split, split_order

ALL_MASKS = GivenMasks()


@dataclass(frozen=True)
class MaskRow:
    """Mean IoU of one method on one split that was given some of the masks.

    Attributes:
        dataset, table, method, split: as of `MiouRow`.
        share: of the photos that could have masks, those that have some, above 0 to 1.
        alone: whether the other photos were left out; otherwise their image labels taught.
        corners: most of a region's outline; 0: masks as they are.
        group: over which classes of the split the mean is taken.
        miou: percent, mean over seeds; lowest, highest: over seeds.
        seeds: how many cells the mean is over; files: names of their JSON files.
    """

    dataset: str
    table: str
    method: str
    split: str
    share: float
    alone: bool
    corners: int
    group: Group
    miou: float
    lowest: float
    highest: float
    seeds: int
    files: tuple[str, ...] = ()


def mask_share_table(cells: Iterable[ResultCell]) -> list[MaskRow]:
    """What was measured with part of the masks, and with all of them by the same methods on the same splits.

    Args:
        cells: also part-masked ones (`read_results`).

    Returns:
        Rows by table, split, method, group, corners and share; none for a table whose trainings all had all masks.
    """
    tables: dict[tuple[str, str], list[ResultCell]] = defaultdict(list)
    for cell in cells:
        if cell.label_rule == "strict":
            tables[cell.dataset, cell.schedule].append(cell)
    rows = []
    for _, table in sorted(tables.items()):
        part = [cell for cell in table if cell.masks is not None]
        splits = {cell.split: cell_split(cell) for cell in part if cell.split != ALL}
        splits = splits or {cell.split: cell_split(cell) for cell in part}
        for name in sorted(splits, key=split_order):
            for method, points in sorted({(cell.method, cell.points) for cell in part}, key=str):
                alike = [cell for cell in table if (cell.method, cell.points) == (method, points)]
                rows += _rows([cell for cell in alike if cell.split in (name, ALL)], name, splits[name])
    return rows


def _rows(cells: Iterable[ResultCell], name: str, split: Split) -> list[MaskRow]:
    """Of one method on one split: what leads from few masks to all of them, once for each use of the other photos."""
    given: dict[GivenMasks, list[ResultCell]] = defaultdict(list)
    for cell in cells:
        given[cell.masks or ALL_MASKS].append(cell)
    lines = sorted({masks.unmasked for masks in given.keys() - {ALL_MASKS}})
    rows = []
    for group, unmasked in itertools.product(GROUPS, lines):
        for masks in sorted(given, key=lambda masks: (masks.corners, masks.share)):
            scores = [scores_on_split(cell, split)[group] for cell in given[masks]]
            values = [score for score in scores if score is not None]
            if (masks == ALL_MASKS or masks.unmasked == unmasked) and values:
                rows.append(_row(given[masks], name, masks, unmasked == "left_out", group, values))
    return rows


def _row(
    cells: Sequence[ResultCell], split: str, masks: GivenMasks, alone: bool, group: Group, values: Sequence[float]
) -> MaskRow:
    first = cells[0]
    return MaskRow(
        first.dataset,
        first.schedule,
        first.method,
        split,
        masks.share,
        alone,
        masks.corners,
        group,
        sum(values) / len(values),
        min(values),
        max(values),
        len(values),
        tuple(cell.file or result_name(cell) for cell in cells),
    )
