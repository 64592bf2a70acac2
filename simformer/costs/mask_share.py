"""What masks on part of the photos, and coarse ones, keep of the IoU that all masks give, as far as it was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from sklearn.isotonic import IsotonicRegression

from simformer.costs.role_sets import ORACLE, MeasuredSets
from simformer.results import MaskRow, ResultCell, mask_share_table
from simformer.splits import DATASET_TITLES, split_label

ASSISTANT_NOTE = (
    "Expected IoU is that of masks drawn by hand: what masks drawn with an assistant do to it is not measured."
)


@dataclass(frozen=True)
class Curve:
    """Part of the IoU that is kept, by the share of masked photos: what was measured, never falling with the share.

    Attributes:
        shares: measured, above 0 to 1, ascending; the last is 1.
        kept: part of the mean IoU with all masks, 0 to 1, at each of them; the last is 1.
    """

    shares: tuple[float, ...]
    kept: tuple[float, ...]

    def at(self, share: float) -> float:
        """Between measured shares on a straight line; NaN below the smallest one."""
        fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="nan").fit(self.shares, self.kept)
        return 1.0 if share == 1 else float(fit.predict([share])[0])


@dataclass(frozen=True)
class MaskCurves:
    """The curves of one table: of classes that get masks, of the others beside them, and of masks for every class.

    Attributes:
        method, split: whose trainings the first two are. The third is FullyOracle's on the masked photos alone.
    """

    method: str
    split: str
    base: Curve
    novel: Curve
    whole: Curve

    @property
    def least(self) -> float:
        """The smallest share that all of them were measured at."""
        return max(curve.shares[0] for curve in (self.base, self.novel, self.whole))

    def applied(self, measured: MeasuredSets, share: float) -> MeasuredSets:
        """The role sets as if only this share of the photos had masks; not below `least`."""
        base, novel, whole = (curve.at(share) for curve in (self.base, self.novel, self.whole))
        sets = tuple(replace(one, iou=one.iou * np.where(one.novel, novel, base)) for one in measured.sets)
        some = (
            f"Masks on {share:.0%} of the photos keep {base:.0%} of the IoU of classes with masks and {novel:.0%} of "
            f"the others', as measured of {self.method} on split {split_label(self.split)}."
        )
        every = (
            f"Masks of every class on {share:.0%} of the photos, and nothing else, keep {whole:.0%} of {ORACLE}'s IoU."
        )
        return replace(measured, sets=sets, whole=measured.oracle * whole, given=(some, every))


def mask_curves(cells: Iterable[ResultCell], key: str, method: str) -> MaskCurves | None:
    """The curves of a table (DATASET/TABLE), of the first split that has them; None where not all three were measured.

    Args:
        cells: also part-masked ones. method: whose role sets expectations are fitted to.
    """
    rows = [row for row in mask_share_table(cells) if f"{row.dataset}/{row.table}" == key and not row.corners]
    for split in dict.fromkeys(row.split for row in rows):
        here = [row for row in rows if row.split == split]
        base, novel = (_curve(row for row in here if _is(row, method, False, group)) for group in ("base", "novel"))
        whole = _curve(row for row in here if _is(row, ORACLE, True, "all"))
        if base and novel and whole:
            return MaskCurves(method, split, base, novel, whole)
    return None


def assistant_note(cells: Iterable[ResultCell]) -> str:
    """What is known of masks drawn with an assistant: nothing, but what far coarser ones keep.

    Args:
        cells: also part-masked ones.
    """
    rows = [row for row in mask_share_table(cells) if row.share == 1 and row.group == "base"]
    kept = []
    for coarse in (row for row in rows if row.corners):
        fine = next((row for row in rows if not row.corners and _alike(row, coarse)), None)
        if fine is not None and fine.miou:
            dataset = DATASET_TITLES.get(coarse.dataset, coarse.dataset)
            kept.append(
                f"Polygons of at most {coarse.corners} corners keep {coarse.miou / fine.miou:.0%} of the IoU of "
                f"classes with masks ({coarse.method} on split {split_label(coarse.split)} of {dataset})."
            )
    return " ".join([ASSISTANT_NOTE, *kept])


def _alike(row: MaskRow, other: MaskRow) -> bool:
    return (row.dataset, row.table, row.method, row.split) == (other.dataset, other.table, other.method, other.split)


def _is(row: MaskRow, method: str, alone: bool, group: str) -> bool:
    return (row.method, row.alone, row.group) == (method, alone, group)


def _curve(rows: Iterable[MaskRow]) -> Curve | None:
    """None without a number of all masks, and of some."""
    found = sorted((row.share, row.miou) for row in rows)
    if len(found) < 2 or found[-1][0] != 1 or not found[-1][1]:
        return None
    return Curve(tuple(share for share, _ in found), tuple(miou / found[-1][1] for _, miou in found))
