"""Photos with what several models make of them, in the order in which one wants to see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from simformer.batch.gallery import resize_labels
from simformer.compare.columns import (
    Column,
    Picture,
    choose_columns,
    columns_of,
    known_splits,
    usual_columns,
    usual_pair,
)
from simformer.compare.photos import Photos
from simformer.compare.predictions import SIDE, Labels, Predictions
from simformer.compare.regions import Box, boxes_around, one_is_right
from simformer.compare.scores import Expansion, PhotoPixels, count_pixels, expansions, mean_iou
from simformer.errors import CheckpointError, ConfigError, SimFormerError
from simformer.splits import Split, class_index
from simformer.utils.images import bounded
from simformer.utils.validation import first_problem

Order = Literal["first", "second", "difference", "name"]
MOST_COLUMNS = 16


class Query(BaseModel):
    """What somebody wants to see.

    Attributes:
        split: name of the split.
        columns: names of methods, in the order of the figure; empty for the usual ones.
        left_out: which of the pictures that no model makes are not shown.
        first, second: the two columns that are compared; empty for the usual ones.
        order: the photos where the first leads by most come first, those where the second does, those with the
            largest difference whichever leads, or by name.
        class_name: only photos whose truth shows this class, and the IoU of this class alone; empty for all novel ones.
        expansion: only photos where the second column has a novel class (or `class_name`) like that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: str
    columns: Annotated[tuple[str, ...], Field(max_length=MOST_COLUMNS)] = ()
    left_out: frozenset[Picture] = frozenset()
    first: str = ""
    second: str = ""
    order: Order = "first"
    class_name: str = ""
    expansion: Expansion | None = None


@dataclass(frozen=True)
class View:
    """A query whose words have become things.

    Attributes:
        first, second: names of the two columns that are compared; None where there is only one column.
        classes: indices of the classes that are scored: the novel ones, or the one that is asked for.
    """

    query: Query
    split: Split
    columns: tuple[Column, ...]
    first: Column | None
    second: Column | None
    classes: frozenset[int]


@dataclass(frozen=True)
class Cell:
    """One model's prediction of one photo.

    Attributes:
        labels: uint8, H x W, at most `SIDE` a side; None as long as it is not made.
        iou: mean IoU in percent over the classes that are scored; None if the truth shows none, or is not there.
        expansion: in which way a scored class is badly covered, by its index.
    """

    labels: Labels | None = None
    iou: float | None = None
    expansion: dict[int, frozenset[Expansion]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One photo.

    Attributes:
        index, name: of the photo.
        image: uint8 RGB, 3 x H x W; None if it cannot be read.
        truth: uint8, H x W, of the predictions' size; None if there is none.
        cells: by the column's name, in the order of the view.
        boxes: around the largest differences of the two columns that are compared.
        lead: IoU of the first column minus that of the second, in points; None if either is missing.
        problem: why something is missing, a sentence; empty if nothing is.
    """

    index: int
    name: str
    image: Tensor | None
    truth: Labels | None
    cells: dict[str, Cell]
    boxes: tuple[Box, ...]
    lead: float | None
    problem: str = ""


class Gallery:
    """Photos, models, and what these have predicted so far; all who look at it share it.

    Args:
        photos: their classes are those of all columns.
        columns: the models (`find_columns`).
        predictions: makes and keeps label maps.
    """

    def __init__(self, photos: Photos, columns: Sequence[Column], predictions: Predictions):
        self.photos = photos
        self.predictions = predictions
        self._columns = tuple(columns)
        self.splits = known_splits(photos.classes, columns)
        # Without counts: there is no truth to compare with.
        self._pixels: dict[tuple[str, int], PhotoPixels | None] = {}
        self._problems: dict[int, str] = {}
        self._broken: dict[str, str] = {}
        self._shown: list[tuple[int, ...]] | None = None

    def columns(self, split: str) -> list[Column]:
        """The models that can be compared on a split. Raises ConfigError for an unknown one."""
        return columns_of(self._split(split), self._columns)

    def view(self, query: Query | Any) -> View:
        """What a query asks for.

        Args:
            query: also as it comes over the network: a dict, or whatever else that sends.

        Raises:
            ConfigError: it is none, or asks for a split, a column or a pair that is not there.
            UnknownClassError: it asks for an unknown class.
        """
        if not isinstance(query, Query):
            try:
                query = Query.model_validate(query)
            except ValidationError as error:
                raise ConfigError(f"the gallery cannot be arranged so: {first_problem(error)}") from error
        split = self._split(query.split)
        available = self.columns(query.split)
        columns = choose_columns(available, query.columns) if query.columns else usual_columns(available)
        if not columns:
            raise ConfigError(f"there is no model for split {query.split}")
        usual = usual_pair(columns)
        first, second = query.first or (usual and usual[0]), query.second or (usual and usual[1])
        pair = choose_columns(columns, [first, second]) if first and second else []
        if len(pair) < 2 and (query.first or query.second):
            raise ConfigError("two different columns are needed to compare them")
        classes = split.novel if not query.class_name else (class_index(split.classes, query.class_name),)
        first_column, second_column = pair if len(pair) == 2 else (None, None)
        return View(query, split, tuple(columns), first_column, second_column, frozenset(classes))

    def listed(self, view: View) -> list[int]:
        """Indices of the photos whose truth shows a class that is scored, by name; and of those without a truth."""
        by_name = sorted(range(len(self.photos.names)), key=lambda index: self.photos.names[index])
        shown = self._classes_shown()
        return [index for index in by_name if not shown[index] or view.classes & set(shown[index])]

    def arrange(self, view: View) -> list[int]:
        """Indices of the photos to show, in their order; of those without a score for both columns the last come last.

        With a filter by expansion, only photos whose predictions are made can pass it.
        """
        listed = self.listed(view)
        if view.query.expansion and view.second:
            listed = [index for index in listed if self._has_expansion(view, view.second, index)]
        if view.query.order == "name":
            return listed
        leads = {index: self._lead(view, index) for index in listed}

        def place(index: int) -> tuple[bool, float]:
            lead = leads[index]
            if lead is None:
                return True, 0.0
            return False, {"first": -lead, "second": lead, "difference": -abs(lead)}[view.query.order]

        return sorted(listed, key=place)

    def to_make(self, view: View) -> list[tuple[Column, int]]:
        """The predictions of a view that are still to be made, photo by photo."""
        columns = [column for column in view.columns if column.fingerprint not in self._broken]
        return [
            (column, index)
            for index in self.listed(view)
            if index not in self._problems
            for column in columns
            if (column.fingerprint, index) not in self._pixels
        ]

    def make(self, tasks: Sequence[tuple[Column, int]]) -> Iterator[tuple[Column, int]]:
        """Make predictions and score them; yields each when it is done. What cannot be made is noted and passed over.

        Args:
            tasks: as `to_make` gives them: those of one photo together, so that it is read once.
        """
        opened: tuple[int, Tensor, Labels | None] | None = None
        for column, index in tasks:
            try:
                if opened is None or opened[0] != index:
                    opened = (index, *self._sample(index))
                self._make(column, *opened)
            except CheckpointError as error:
                self._broken[column.fingerprint] = str(error)
            except SimFormerError as error:
                self._problems[index] = str(error)
            yield column, index

    def problems(self, view: View) -> list[str]:
        """What went wrong with models of the view and with its photos, in sentences."""
        of_columns = [self._broken[c.fingerprint] for c in view.columns if c.fingerprint in self._broken]
        return of_columns + [self._problems[index] for index in self.listed(view) if index in self._problems]

    def row(self, view: View, index: int) -> Row:
        """A photo with the predictions that are made; runs a network only for one that was made and is gone again.

        Raises:
            ConfigError: there is no photo of that number.
        """
        if not 0 <= index < len(self.photos.names):
            raise ConfigError(f"there is no photo number {index}")
        name = self.photos.names[index]
        try:
            image, truth = self._sample(index)
            cells = {column.name: self._cell(view, column, index, image) for column in view.columns}
        except SimFormerError as error:
            return Row(index, name, None, None, {column.name: Cell() for column in view.columns}, (), None, str(error))
        boxes: list[Box] = []
        if view.first and view.second:
            ours, theirs = cells[view.first.name].labels, cells[view.second.name].labels
            if ours is not None and theirs is not None:
                boxes = boxes_around(one_is_right(ours, theirs, truth, view.classes if truth is not None else None))
        problem = self._problems.get(index, "")
        return Row(index, name, image, truth, cells, tuple(boxes), self._lead(view, index), problem)

    def _split(self, name: str) -> Split:
        if name not in self.splits:
            raise ConfigError(f"there is no split {name!r} here; there is {', '.join(self.splits) or 'none'}")
        return self.splits[name]

    def _classes_shown(self) -> list[tuple[int, ...]]:
        if self._shown is None:
            try:
                self._shown = self.photos.all_image_labels()
            except SimFormerError:  # one label map is bad; the others are not
                self._shown = [self._classes_of(index) for index in range(len(self.photos.names))]
        return self._shown

    def _classes_of(self, index: int) -> tuple[int, ...]:
        try:
            return self.photos.image_labels(index)
        except SimFormerError as error:
            self._problems[index] = str(error)
            return tuple(range(len(self.photos.classes)))  # it is listed everywhere, with what is wrong with it

    def _sample(self, index: int) -> tuple[Tensor, Labels | None]:
        image, truth = self.photos.sample(index)
        size = bounded(image.shape[1:], SIDE)
        return image, None if truth is None else resize_labels(truth.numpy(), size)

    def _make(self, column: Column, index: int, image: Tensor, truth: Labels | None) -> Labels:
        labels = self.predictions.predict(column, self.photos.photo_file(index), image)
        counts = None if truth is None else count_pixels(labels, truth, len(self.photos.classes))
        self._pixels[column.fingerprint, index] = counts
        return labels

    def _cell(self, view: View, column: Column, index: int, image: Tensor) -> Cell:
        if (column.fingerprint, index) not in self._pixels:
            return Cell()
        labels = self.predictions.predict(column, self.photos.photo_file(index), image)
        pixels = self._pixels[column.fingerprint, index]
        if pixels is None:
            return Cell(labels)
        return Cell(labels, mean_iou(pixels, view.classes), expansions(pixels, view.classes))

    def _lead(self, view: View, index: int) -> float | None:
        if view.first is None or view.second is None:
            return None
        pair = [self._pixels.get((column.fingerprint, index)) for column in (view.first, view.second)]
        ious = [None if pixels is None else mean_iou(pixels, view.classes) for pixels in pair]
        return None if ious[0] is None or ious[1] is None else ious[0] - ious[1]

    def _has_expansion(self, view: View, column: Column, index: int) -> bool:
        pixels = self._pixels.get((column.fingerprint, index)) or {}
        return any(view.query.expansion in found for found in expansions(pixels, view.classes).values())
