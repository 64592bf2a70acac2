"""What mIoU to expect when some classes get masks and the others image-level labels.

Every expectation stands on measurements. Where one is missing the answer is None and names what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from simformer.results import published
from simformer.splits import dataset_classes, load_split

COCO_STUFF = "coco_stuff_10k"


class Expected(BaseModel):
    """mIoU in percent (0 to 100) that a plan can expect.

    Attributes:
        miou: mean over the classes counted; None = some of them were not measured as the plan has them.
        low, high: interval that is to hold 80 % of what one more training would measure; None = not known.
        base, novel: means over those of them that get masks, and image-level labels; None likewise.
        novel_low, novel_high: interval of `novel`.
        counted: how many classes the means are over.
        missing: classes counted that were not measured as the plan has them.
        extrapolated: no measured model had as large a share of novel classes.
        unit: "IoU", or "share": all figures are then percent of FullyOracle's IoU, which is not known.
        note: sentences on where the figures come from.
    """

    model_config = ConfigDict(frozen=True)

    miou: float | None
    low: float | None = None
    high: float | None = None
    base: float | None
    novel: float | None
    novel_low: float | None = None
    novel_high: float | None = None
    counted: int
    missing: tuple[str, ...] = ()
    extrapolated: bool = False
    unit: Literal["IoU", "share"] = "IoU"
    note: str


class Expectation(Protocol):
    """Answers what to expect of a plan: `classes` in all, of which `masked` get masks."""

    def expect(self, classes: Sequence[str], masked: Collection[str]) -> Expected: ...


class NotMeasured:
    """Expectation where nothing is measured: none, and why."""

    def __init__(self, note: str = "Not measured."):
        self.note = note

    def expect(self, classes: Sequence[str], masked: Collection[str]) -> Expected:
        """No figure."""
        return Expected(miou=None, base=None, novel=None, counted=len(classes), missing=tuple(classes), note=self.note)


class PaperSplits:
    """Expectation on COCO-Stuff-10K from the paper's splits 4 to 9: mIoU over novel classes by their number.

    Attributes:
        method: "SimFormer" or "SimFormer*".
    """

    def __init__(self, method: str = "SimFormer"):
        self.method = method

    def expect(self, classes: Sequence[str], masked: Collection[str]) -> Expected:
        """Expected novel-class mIoU. The paper gives none over all or base classes: those are None."""
        novel, note = self._novel(classes, masked)
        missing = tuple(name for name in classes if name in masked or novel is None)
        return Expected(miou=None, base=None, novel=novel, counted=len(classes), missing=missing, note=note)

    def _novel(self, classes: Sequence[str], masked: Collection[str]) -> tuple[float | None, str]:
        if set(classes) != set(dataset_classes(COCO_STUFF)):
            return None, "Missing: the paper's numbers are for the 171 classes of COCO-Stuff-10K."
        count = sum(name not in masked for name in classes)
        points = self._points()
        fewest, most = points[0][0], points[-1][0]
        if not fewest <= count <= most:
            return None, f"Missing: the paper has {fewest} to {most} novel classes, not {count}."
        for number, split, iou, oracle in points:
            if number == count:
                return iou, (
                    f"Published: {self.method} on split {split}, which has as many novel classes; "
                    f"FullyOracle has {oracle} on them."
                )
        (low, low_split, low_iou, _), (high, high_split, high_iou, _) = next(
            (below, above) for below, above in pairwise(points) if below[0] < count < above[0]
        )
        value = low_iou + (high_iou - low_iou) * (count - low) / (high - low)
        return value, (
            f"Interpolated, not measured: {count} novel classes lie between the paper's splits {low_split} "
            f"({low} novel: {low_iou}) and {high_split} ({high} novel: {high_iou}) of {self.method}."
        )

    def _points(self) -> list[tuple[int, str, float, float]]:
        """(number of novel classes, split, mIoU of the method, mIoU of FullyOracle), fewest first."""
        rows = [row for row in published() if row.table == "more novel classes"]
        iou = {(row.method, row.split): row.miou for row in rows if row.miou is not None}
        splits = [load_split(COCO_STUFF, row.split) for row in rows if row.method == self.method]
        return sorted(
            (len(split.novel), split.name, iou[self.method, split.name], iou["FullyOracle", split.name])
            for split in splits
        )
