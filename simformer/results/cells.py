"""One measured cell of a results table, as a JSON file.

A cell is one trained model scored once: a method, on a data set, on a split, with a seed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from simformer.errors import ConfigError, SimFormerError
from simformer.paths import RESULTS
from simformer.splits import ALL_BASE, Split, datasets, load_split, split_names
from simformer.utils.files import atomic_write
from simformer.utils.validation import first_problem

RESULTS_FOLDER = Path(os.environ.get("SIMFORMER_RESULTS") or RESULTS)
"""Where measured results live: $SIMFORMER_RESULTS, else assets/results beside the package."""

ALL = "all"
"""The split of a method trained once, whatever the roles: CAM (image-level labels), FullyOracle (masks)."""

UNFINISHED = "unfinished"
"""Folder, below the results, of cells of tables that are still being measured."""

SEALED = "sealed"
"""Folder, below the results, of cells that only the backtest of expectations reads, and only if it is told to."""

# A mean rounded to one decimal place before it was stored may differ by this much from its classes.
_ROUNDING = 0.0501

logger = logging.getLogger(__name__)


class CellScores(BaseModel):
    """IoU in percent (0 to 100); None = there was nothing to average, or the truth never shows the class."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    miou: float | None = Field(default=None, ge=0, le=100)
    base: float | None = Field(default=None, ge=0, le=100)
    novel: float | None = Field(default=None, ge=0, le=100)
    per_class: dict[str, float | None]

    @field_validator("per_class")
    @classmethod
    def _percentages(cls, values: dict[str, float | None]) -> dict[str, float | None]:
        for name, value in values.items():
            if value is not None and not 0 <= value <= 100:
                raise ValueError(f"the IoU of {name} is {value}, not a percentage")
        return values

    @model_validator(mode="after")
    def _mean_fits_classes(self) -> CellScores:
        mean = mean_iou(self.per_class.values())
        fits = mean is self.miou if mean is None or self.miou is None else abs(mean - self.miou) <= _ROUNDING
        if not fits:
            raise ValueError(f"miou is {self.miou} but the mean of per_class is {mean}")
        return self


class TransferAuc(BaseModel):
    """How well pairs of pixels of one class are told from pairs of two: area under the ROC curve, 0.5 is chance."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    base: float | None = Field(default=None, ge=0, le=1)
    novel: float | None = Field(default=None, ge=0, le=1)


class Transfer(BaseModel):
    """Who tells pairs of pixels of the evaluation photos apart: the teacher of similarity, and the trained network."""

    model_config = ConfigDict(extra="forbid")

    teacher: TransferAuc | None = None
    student: TransferAuc | None = None


class Health(BaseModel):
    """Whether a network leans on dropout, measured on training photos at the end of its training.

    Attributes:
        accuracy: share (0 to 1) of the pixels of base classes that get their class; None where there are none.
        queries: mean number of queries a photo that decide pixels.
        accuracy_with_dropout, queries_with_dropout: the same with dropout on; None for a network without.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    accuracy: float | None = Field(default=None, ge=0, le=1)
    queries: float = Field(ge=0)
    accuracy_with_dropout: float | None = Field(default=None, ge=0, le=1)
    queries_with_dropout: float | None = Field(default=None, ge=0)


class GivenMasks(BaseModel, frozen=True, extra="forbid"):
    """Which masks a training was given, where it was not all of its base classes' as they are.

    Attributes:
        share: of the training photos that show a base class, those with masks; above 0 to 1.
        unmasked: what the others taught: their image-level "labels", of base classes too, or they were "left_out".
        corners: most of a region's outline, at least 3; 0: masks as they are.
    """

    share: float = Field(default=1, gt=0, le=1)
    unmasked: Literal["labels", "left_out"] = "labels"
    corners: int = Field(default=0, ge=0)

    @classmethod
    def noted(cls, settings: Mapping[str, Any]) -> GivenMasks | None:
        """Of settings as results and cards note them; None where all masks were given, as always before."""
        found = cls(
            share=settings.get("mask_share", 1),
            unmasked=settings.get("unmasked", "labels") if settings.get("mask_share", 1) < 1 else "labels",
            corners=settings.get("mask_corners", 0),
        )
        return None if found == cls() or settings.get("method") == "cam" else found

    @property
    def slug(self) -> str:
        """As files are named: masks25, masks25-alone, corners8."""
        parts = [f"masks{100 * self.share:g}"] if self.share < 1 else []
        parts += ["alone"] if self.unmasked == "left_out" else []
        return "-".join(parts + ([f"corners{self.corners}"] if self.corners else []))

    @property
    def title(self) -> str:
        """As people read: "masks on 25 % of the photos", "masks of at most 8 corners"."""
        alone = " alone" if self.unmasked == "left_out" else ""
        parts = [f"masks on {100 * self.share:g} % of the photos{alone}"] if self.share < 1 else []
        return ", ".join(parts + ([f"masks of at most {self.corners} corners"] if self.corners else []))


class ResultCell(BaseModel):
    """One measured cell of a results table.

    Attributes:
        method: "SimFormer", "Basic Model", "Self-Pair", "SimFormer*", "CAM", "FullyOracle", "RETAB", ...
        dataset, split: a data set and one of its splits; "all" for a method trained once for all splits.
        novel: names of the novel classes, needed only where the split is not one that ships with the package.
        seed, steps, points: of the training; points is J (paper, section on pixel-pixel similarity) or None.
        scores, images, pixels: percent; how many photos and truth pixels were compared.
        config, command, commit, device, wall_seconds, date: how the cell came about; the time is that of the steps
            alone, without evaluation and without making pseudo masks.
        schedule: name of the table; all cells of one table were trained equally long, on the same data.
        weights: file name of the shipped weights, or None.
        label_rule: where a training crop's novel classes came from: the photo's image-level labels ("strict")
            or the crop's own truth ("crop", as in the released code).
        transfer: AUC of teacher and student on pairs of evaluation pixels; None where it was not measured.
        masks: which ones were given; None: all of the base classes, as they are.
        health: whether the network leans on dropout; None where it was not measured.
        file: name of the file the cell was read from; not stored.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    method: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    split: str = Field(min_length=1)
    novel: list[str] | None = None
    seed: int = Field(ge=0)
    steps: int | None = Field(ge=0)
    points: int | None = Field(default=None, ge=1)
    scores: CellScores
    images: int = Field(ge=1)
    pixels: int = Field(ge=1)
    config: dict[str, Any]
    command: str
    commit: str
    device: str
    wall_seconds: float = Field(ge=0)
    date: datetime
    schedule: str = Field(min_length=1)
    weights: str | None = None
    label_rule: Literal["strict", "crop"] = "strict"
    masks: GivenMasks | None = None
    transfer: Transfer | None = None
    health: Health | None = None
    file: str | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _classes_fit_split(self) -> ResultCell:
        classes = cell_split(self).classes
        differ = set(self.scores.per_class) ^ set(classes)
        if differ:
            names = ", ".join(sorted(differ))
            raise ValueError(f"per_class and the classes of {self.dataset} differ in {names}")
        return self


def cell_split(cell: ResultCell) -> Split:
    """The classes and roles a cell was trained with; for the split "all", no class is novel.

    Raises:
        ConfigError: the split is not a shipped one and the cell does not name its novel classes, or names one
            that has no IoU.
    """
    if cell.novel is None:
        return load_split(cell.dataset, ALL_BASE if cell.split == ALL else cell.split)
    classes = tuple(cell.scores.per_class)
    unknown = [name for name in cell.novel if name not in classes]
    if unknown:
        raise ConfigError(f"the novel class {unknown[0]!r} is not in per_class")
    novel = tuple(index for index, name in enumerate(classes) if name in cell.novel)
    return Split(cell.dataset, cell.split, classes, novel)


def is_role_set(dataset: str, split: str) -> bool:
    """Whether a data set ships with splits but none of this name: its novel classes were chosen otherwise."""
    return dataset in datasets() and split not in (*split_names(dataset), ALL)


Folders = str | Path | Sequence[Path]
"""A folder of results, or several."""


def read_results(
    folder: Folders = RESULTS_FOLDER, report: Callable[[str], None] = logger.warning, *, part_masked: bool = False
) -> list[ResultCell]:
    """Read every cell of a folder, in the order of the file names; of several folders one after the other.

    A file that cannot be read is left out and named to `report` in one sentence; the others are still read. So is
    one whose split has other novel classes than an earlier file's of its table: their scores cannot be compared.
    A folder that does not exist holds no cells.

    Args:
        part_masked: also cells whose training was given part of the masks (`ResultCell.masks`). What they reach says
            nothing of roles: who does not ask for them does not get them.
    """
    cells = []
    splits: dict[tuple[str, str, str], tuple[str, Split]] = {}
    for path in result_files(folder):
        try:
            cell = ResultCell.model_validate_json(path.read_bytes())
        except ValidationError as error:
            report(f"{path.name} is not a result: {first_problem(error)}")
        except OSError as error:
            report(f"{path.name} cannot be read: {(error.strerror or str(error)).lower()}")
        else:
            split = cell_split(cell)
            first, known = splits.setdefault((cell.dataset, cell.schedule, cell.split), (path.name, split))
            if cell.masks is not None and not part_masked:
                continue
            if split == known:
                cells.append(cell.model_copy(update={"file": path.name}))
            else:
                report(f"{path.name} is left out: its split {cell.split} has other classes or roles than in {first}")
    return cells


def result_files(folder: Folders) -> list[Path]:
    """The files that `read_results` reads, in its order."""
    folders = [Path(folder)] if isinstance(folder, str | Path) else folder
    return [path for each in folders for path in sorted(each.glob("*.json"))]


def result_name(cell: ResultCell) -> str:
    """File name of a cell: two cells of one table share it only if they differ in nothing that the table compares."""
    parts = [_slug(cell.schedule), _slug(cell.dataset), _slug(cell.method), _slug(cell.split)]
    if parts[-1][:40] != cell.split:  # people's own names may differ in what is left out here
        parts[-1] = f"{parts[-1][:40]}-{hashlib.sha256(cell.split.encode()).hexdigest()[:8]}".lstrip("-")
    parts += [f"seed{cell.seed}"]
    parts += [f"points{cell.points}"] if cell.points is not None else []
    parts += ["crop-labels"] if cell.label_rule == "crop" else []
    parts += [cell.masks.slug] if cell.masks is not None else []
    return "_".join(parts) + ".json"


def write_result(cell: ResultCell, folder: str | Path = RESULTS_FOLDER) -> Path:
    """Store a cell under `result_name`, replacing an earlier measurement of the same cell; returns the path.

    Raises:
        SimFormerError: the folder cannot be made or written.
    """
    path = Path(folder) / result_name(cell)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SimFormerError(f"cannot make the folder {folder}: {reason}") from error
    with atomic_write(path, "w") as file:
        file.write(cell.model_dump_json(indent=1) + "\n")
    return path


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("*", "-star").replace("+", "-plus")).strip("-")


def mean_iou(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there; None if none is."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None
