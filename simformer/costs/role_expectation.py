"""What a plan can expect from a model of role sets: the planner's view of `expectation`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simformer.costs.expectation import Interval, RoleModel, RoleSetExpectation, novel_mask
from simformer.costs.expected import Expected
from simformer.costs.role_fits import Array, Bools

Evidence = Literal["role sets", "pilot", "other data sets"]
"""What is known of these very classes: role sets were trained with them; FullyOracle alone; nothing."""

LEVELS: dict[Evidence, str] = {
    "role sets": "Evidence: role sets. Several choices of masked classes were trained and measured on these classes.",
    "pilot": "Evidence: a pilot. FullyOracle (and CAM) was measured on these classes; what novel ones keep of it is "
    "that of other data sets.",
    "other data sets": "Evidence: other data sets. Nothing was trained on these classes; all figures are percent of "
    "full masks' IoU. A pilot (FullyOracle and CAM on some fully labelled photos) tells more, role sets most.",
}
"""The levels of evidence in words, from most to least."""


@dataclass(frozen=True)
class RoleExpectation:
    """Expectation for every choice of masked classes.

    Attributes:
        model: of the plan's classes, in their order.
        labels: IoU of every class from image labels alone (CAM) in percent, float64, K; NaN = not measured.
        evidence: what is known of these classes.
        about: a sentence on it.
        unit: "IoU", or "share" where FullyOracle's IoU is not known: all figures are then percent of it.
    """

    model: RoleModel
    labels: Array
    evidence: Evidence
    about: str
    unit: Literal["IoU", "share"] = "IoU"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all K classes."""
        return self.model.measured.classes

    def iou(self, novel: Bools) -> Array:
        """Expected IoU of every class: as measured where just this was trained, else by the model.

        Args:
            novel: bool, S x K. All novel is CAM, none is FullyOracle.

        Returns:
            float64, S x K, percent; NaN where it was not measured.
        """
        iou = self._by_model(novel)
        for trained in self.model.measured.sets:
            iou[(novel == trained.novel).all(axis=1)] = trained.mean_iou
        return iou

    def _by_model(self, novel: Bools) -> Array:
        """As `iou`, but for trained role sets too by the model; the ends are CAM and FullyOracle."""
        iou = self.model.class_iou(novel)[0]
        iou[novel.all(axis=1)] = self.labels
        return iou

    def class_iou(self, masked: Collection[str]) -> dict[str, float | None]:
        """Expected IoU of every class by name, percent; None = not measured."""
        values = self.iou(self.novel(masked)[None])[0]
        return {name: None if np.isnan(v) else float(v) for name, v in zip(self.classes, values, strict=True)}

    def gain(self, masked: Collection[str]) -> dict[str, float | None]:
        """What the mask of each class gains, in points of its own IoU, all other roles as they are.

        Both by the model, trained or not: a measurement less an expectation would be the noise of one training.
        """
        novel = self.novel(masked)
        alone = np.eye(len(novel), dtype=bool)
        with_mask, without = self._by_model(novel & ~alone), self._by_model(novel | alone)
        gains = np.diag(with_mask - without)
        return {name: None if np.isnan(v) else float(v) for name, v in zip(self.classes, gains, strict=True)}

    def novel(self, masked: Collection[str]) -> Bools:
        """Which classes get no masks, bool, K."""
        return ~novel_mask(self.classes, masked)

    def expect(self, classes: Sequence[str], masked: Collection[str]) -> Expected:
        """Expected mIoU of a plan with these classes, which have to be those of the model."""
        novel = self.novel([name for name in classes if name in masked])
        if novel.all():
            return self._labels_alone()
        names = [name for name, is_novel in zip(self.classes, novel, strict=True) if is_novel]
        found = self.model.expect(names, by_class=False)
        missing = tuple(np.array(self.classes)[~self.model.counted])
        return Expected(
            miou=_mid(found.all),
            low=found.all and found.all.low,
            high=found.all and found.all.high,
            base=_mid(found.base),
            novel=_mid(found.novel),
            novel_low=found.novel and found.novel.low,
            novel_high=found.novel and found.novel.high,
            counted=len(self.classes) - len(missing),
            extrapolated=found.extrapolated,
            unit=self.unit,
            note=self._note(found, novel),
        )

    def _note(self, found: RoleSetExpectation, novel: Bools) -> str:
        if self.unit == "share" and not novel.any():
            return "Masks of every class are 100% by definition; trainings with them differ as much as the range says."
        return found.note if found.trained or not novel.any() else f"{found.note} {self.about}".strip()

    def means(self, novel: Bools) -> list[Expected]:
        """What to expect of role sets (bool, S x K), the means alone: for many of them at once."""
        counted, note = self.model.counted, "Without interval."
        found = []
        for iou, roles in zip(self.iou(novel), novel, strict=True):
            mean, base, novel_mean = (
                None if not members.any() or np.isnan(iou[members]).any() else float(iou[members].mean())
                for members in (counted, counted & ~roles, counted & roles)
            )
            found.append(
                Expected(miou=mean, base=base, novel=novel_mean, counted=int(counted.sum()), unit=self.unit, note=note)
            )
        return found

    def _labels_alone(self) -> Expected:
        counted = self.model.counted
        missing = tuple(np.array(self.classes)[counted & np.isnan(self.labels)])
        mean = None if missing or not counted.any() else float(self.labels[counted].mean())
        note = "Measured: CAM, image labels alone."
        if missing:
            note = "Not measured: no CAM was trained on these classes."
        elif self.unit == "share":
            note = f"What CAM, image labels alone, has of it. {self.about}"
        return Expected(
            miou=mean, base=None, novel=mean, counted=int(counted.sum()), missing=missing, unit=self.unit, note=note
        )


def _mid(interval: Interval | None) -> float | None:
    return None if interval is None else interval.expected
