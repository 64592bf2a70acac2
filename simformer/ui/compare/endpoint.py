"""The endpoint `/gallery`: the rows of the Compare tab for programs, without pictures."""

# Without `from __future__ import annotations`: gr.api reads the return type as an object to describe the answer.

import time
from collections.abc import Mapping
from typing import Literal, TypedDict

from gradio.events import api

from simformer.errors import ConfigError, SimFormerError
from simformer.ui.compare.served import Compared
from simformer.ui.parts.inputs import failure

MOST_ROWS = 200
# Between two looks at what the background has made.
PAUSE = 0.2


class GalleryCell(TypedDict):
    """One model on one photo: IoU in percent (null: not made yet, or no truth), classes it covers badly."""

    iou: float | None
    under_expanded: list[str]
    over_expanded: list[str]


class GalleryRow(TypedDict):
    """One photo: lead of the first column over the second in points, and boxes (left, top, right, bottom; 0 to 1)."""

    photo: str
    lead: float | None
    cells: dict[str, GalleryCell]
    boxes: list[list[float]]
    problem: str


class GalleryAnswer(TypedDict):
    """Rows, what they compare, and how many photos and predictions there are."""

    rows: list[GalleryRow]
    columns: list[str]
    compared: list[str]
    classes: list[str]
    photos: int
    predictions_made: int
    predictions: int
    problems: list[str]


def build(galleries: Mapping[str, Compared]) -> None:
    """Put the endpoint into the open Blocks context. galleries: by data set; more may come, the first is the usual."""

    def gallery(
        split: str,
        columns: list[str] | None = None,
        first: str = "",
        second: str = "",
        order: Literal["first", "second", "difference", "name"] = "first",
        class_name: str = "",
        expansion: Literal["under-expanded", "over-expanded"] | None = None,
        offset: int = 0,
        limit: int = 20,
        wait: bool = True,
        dataset: str = "",
    ) -> GalleryAnswer:
        """Compare models photo by photo: IoU of the photo's novel classes, and where two of them differ most.

        Args:
            split: The base/novel split, such as s1.
            columns: Methods, such as CAM or SimFormer; null for the usual ones.
            first: The method whose lead is reported; empty for SimFormer.
            second: The method it is compared with; empty for the one before it.
            order: Photos where the first leads by most, where the second does, the largest difference, or by name.
            class_name: Only photos that show this class, and its IoU alone; empty for all novel classes.
            expansion: Only photos where the second has a class of low recall (under) or low precision (over-expanded).
            offset: Rows to pass over.
            limit: Rows to answer with, 200 at most.
            wait: Make all predictions first; without, rows come with what is made so far.
            dataset: Whose models, such as msrc21 or nyuv2; empty for those that the page opens with.

        Returns:
            The rows, the columns, the two that are compared, the classes that are scored, how many photos there are,
            how many predictions are made, and what went wrong.
        """
        query = {"split": split, "columns": columns or [], "first": first, "second": second, "order": order}
        try:
            compared = gallery_of(galleries, dataset)
            view = compared.gallery.view({**query, "class_name": class_name, "expansion": expansion})
            compared.background.want(view)
            while wait and not compared.background.progress(view).finished:
                time.sleep(PAUSE)
            arranged = compared.gallery.arrange(view)
            chosen = arranged[max(0, offset) : max(0, offset) + min(max(0, limit), MOST_ROWS)]
            rows = [compared.gallery.row(view, index) for index in chosen]
        except SimFormerError as error:
            raise failure(error) from error
        names, progress = view.split.classes, compared.background.progress(view)

        def cells(row) -> dict[str, GalleryCell]:
            return {
                name: GalleryCell(
                    iou=cell.iou,
                    under_expanded=[names[index] for index, how in cell.expansion.items() if "under-expanded" in how],
                    over_expanded=[names[index] for index, how in cell.expansion.items() if "over-expanded" in how],
                )
                for name, cell in row.cells.items()
            }

        return GalleryAnswer(
            rows=[
                GalleryRow(
                    photo=row.name,
                    lead=row.lead,
                    cells=cells(row),
                    boxes=[list(box) for box in row.boxes],
                    problem=row.problem,
                )
                for row in rows
            ],
            columns=[column.name for column in view.columns],
            compared=[column.name for column in (view.first, view.second) if column],
            classes=[names[index] for index in sorted(view.classes)],
            photos=len(arranged),
            predictions_made=progress.done,
            predictions=progress.total,
            problems=list(progress.problems),
        )

    api(gallery, api_name="gallery")


def gallery_of(galleries: Mapping[str, Compared], dataset: str) -> Compared:
    """That of a data set; "" is the first. Raises ConfigError: there is none."""
    if dataset and dataset not in galleries:
        raise ConfigError(f"the page compares no models of the data set {dataset!r}, only of {', '.join(galleries)}")
    return galleries[dataset] if dataset else next(iter(galleries.values()))
