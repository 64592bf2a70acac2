"""What mIoU to expect when some classes get masks and the others image-level labels.

Every expectation stands on measurements. Where one is missing the answer is None and names what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from simformer.results import (
    GROUPS,
    Group,
    ResultCell,
    class_iou_by_role,
    largest_novel_share,
    mean_iou,
    miou_by_masked,
    published,
)
from simformer.splits import dataset_classes, load_split

COCO_STUFF = "coco_stuff_10k"


class Expected(BaseModel):
    """mIoU in percent (0 to 100) that a plan can expect.

    Attributes:
        miou: mean over the classes counted; None = some of them were not measured as the plan has them.
        base, novel: means over those of them that get masks, and image-level labels; None likewise.
        counted: how many classes the means are over.
        missing: classes counted that were not measured as the plan has them.
        extrapolated: no measured model had as large a share of novel classes.
        note: one or two sentences on where the figures come from.
    """

    model_config = ConfigDict(frozen=True)

    miou: float | None
    base: float | None
    novel: float | None
    counted: int
    missing: tuple[str, ...] = ()
    extrapolated: bool = False
    note: str


class Expectation(Protocol):
    """Answers what to expect of a plan: `classes` in all, of which `masked` get masks."""

    def expect(self, classes: Sequence[str], masked: Collection[str]) -> Expected: ...


class MeasuredRoles:
    """Expectation from every class's measured IoU in each role.

    A plan is one of three models: without masks it is CAM, with masks for every class FullyOracle, and
    SimFormer between. For SimFormer the plan's mIoU is taken to be the mean of the IoU that each class had in
    its role, averaged over the splits measured. That the other classes' roles matter little is an assumption,
    which the growing splits (s5 to s9) test and `extrapolated` bounds; where a SimFormer was trained with just
    the plan's roles, the note says what it reached.

    Attributes:
        iou: {class: {"base" | "novel" | "cam" | "oracle": percent}}; a role that was not measured is absent.
        largest_share: the largest share (0 to 1) of novel classes in a measured SimFormer; None = not known.
        dataset: on which the IoU was measured.
        trained: what SimFormers reached with just these classes masked, see `miou_by_masked`.
    """

    def __init__(
        self,
        iou: Mapping[str, Mapping[str, float]],
        largest_share: float | None = None,
        dataset: str = "",
        trained: Mapping[frozenset[str], Mapping[Group, float]] = MappingProxyType({}),
    ):
        self.iou = iou
        self.largest_share = largest_share
        self.dataset = dataset
        self.trained = trained

    @classmethod
    def from_cells(cls, cells: Iterable[ResultCell]) -> MeasuredRoles:
        """From the cells of one data set and table. Raises ConfigError if they come from several tables."""
        cells = list(cells)
        dataset = cells[0].dataset if cells else ""
        return cls(class_iou_by_role(cells), largest_novel_share(cells), dataset, miou_by_masked(cells))

    def comparable(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Those classes that were measured both as base and as novel: what a mask gains is known for them."""
        return tuple(name for name in classes if {"base", "novel"} <= self.iou.get(name, {}).keys())

    def gain(self, name: str) -> float | None:
        """IoU as base minus IoU as novel, in percentage points; None where either was not measured."""
        roles = self.iou.get(name, {})
        return roles["base"] - roles["novel"] if {"base", "novel"} <= roles.keys() else None

    def class_iou(self, classes: Sequence[str], masked: Collection[str]) -> dict[str, float | None]:
        """Every class's IoU (percent) in the role that the plan gives it; None = not measured."""
        roles = self._roles(classes, masked)
        return {name: self.iou.get(name, {}).get(roles[name]) for name in classes}

    def expect(self, classes: Sequence[str], masked: Collection[str], over: Collection[str] | None = None) -> Expected:
        """Expected mIoU of a plan.

        Args:
            classes: all K classes of the plan.
            masked: those that get masks.
            over: the classes that the means are over; None = all of them.
        """
        counted = [name for name in classes if over is None or name in over]
        iou = self.class_iou(classes, masked)
        missing = tuple(name for name in counted if iou[name] is None)
        return Expected(
            miou=_whole_mean([iou[name] for name in counted]),
            base=_whole_mean([iou[name] for name in counted if name in masked]),
            novel=_whole_mean([iou[name] for name in counted if name not in masked]),
            counted=len(counted),
            missing=missing,
            extrapolated=self._beyond(_novel_share(classes, masked)),
            note=self._note(classes, masked, counted, missing),
        )

    def _roles(self, classes: Sequence[str], masked: Collection[str]) -> dict[str, str]:
        if not masked:
            return dict.fromkeys(classes, "cam")
        if all(name in masked for name in classes):
            # Without a FullyOracle, the base IoU of the weak-shot models is the next best measurement.
            oracle = all("oracle" in self.iou.get(name, {}) for name in classes)
            return dict.fromkeys(classes, "oracle" if oracle else "base")
        return {name: "base" if name in masked else "novel" for name in classes}

    def _beyond(self, share: float) -> bool:
        """Whether SimFormer was never measured with so large a share of novel classes."""
        return share < 1 and self.largest_share is not None and share > self.largest_share + 1e-9

    def _note(
        self, classes: Sequence[str], masked: Collection[str], counted: Sequence[str], missing: Sequence[str]
    ) -> str:
        roles = self._roles(classes, masked)
        sources = {"cam": "CAM's IoU", "oracle": "FullyOracle's IoU"}
        source = sources.get(roles[classes[0]], "SimFormer's IoU with the class in this role, over all splits")
        place = f" on {self.dataset}" if self.dataset else ""
        if missing:
            note = f"Missing{place}, for {len(missing)} of {len(counted)} classes: {source}."
        else:
            note = f"Measured{place}, class by class: {source}."
        reached = self.trained.get(frozenset(masked), {}) if self.iou.keys() == set(classes) else {}
        if reached.keys() == set(GROUPS):
            groups = "{all:.1f} over all classes, {base:.1f} over base, {novel:.1f} over novel ones".format(**reached)
            note += f" A SimFormer trained with just these roles reached {groups}."
        share = _novel_share(classes, masked)
        if self._beyond(share):
            note += (
                f" Beyond measurement: {share:.0%} of the classes are novel here, "
                f"at most {self.largest_share:.0%} were in a measured model."
            )
        return note


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


def _novel_share(classes: Sequence[str], masked: Collection[str]) -> float:
    return sum(name not in masked for name in classes) / len(classes)


def _whole_mean(values: Sequence[float | None]) -> float | None:
    """The mean, but None as soon as one value is missing."""
    return None if None in values else mean_iou(values)
