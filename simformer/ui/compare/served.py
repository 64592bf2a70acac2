"""What the Compare tab's script asks the server for: the order of the photos, rows, progress, a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from simformer.compare.columns import Column, columns_of, find_columns, known_splits
from simformer.datasets.examples import list_examples
from simformer.errors import ConfigError, SimFormerError
from simformer.paths import cache_folder
from simformer.splits import Split
from simformer.ui.compare.html import progress_html, row_html, summary_html
from simformer.ui.parts.photos import data_uri
from simformer.ui.parts.zerogpu import on_zerogpu

if TYPE_CHECKING:
    from simformer.compare.background import Background
    from simformer.compare.gallery import Gallery, View

MOST_AT_ONCE = 12
"""Rows of one answer, at most."""

Answer = dict[str, Any]


def answering(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """What the user can mend is answered as {"error": sentence}; a server function's exception would be silent."""

    @wraps(function)
    def answered(self: Compared, asked: Any) -> Answer:
        try:
            return function(self, asked)
        except SimFormerError as error:
            return {"error": str(error)}

    return answered


class Compared:
    """The gallery behind the tab; everybody who has the page open shares it. It is made when it is first asked for.

    Args:
        data: a folder data set; None compares the models on the example photos.
        list_file: names its photos; None takes val.txt, or all photos if there is no such file.
        known: without a data set, classes of the models to compare; empty takes those that most models have.

    Attributes:
        classes: of the photos. columns, splits: what can be compared on them.
    """

    def __init__(self, data: Path | None = None, list_file: str | None = None, known: Sequence[str] = ()):
        self._data, self._list_file = data, list_file
        self._made: tuple[Gallery, Background] | None = None
        self._making = Lock()
        self._dataset = None
        if data is not None:
            # Only here: it imports torch, for which the page would have to wait.
            from simformer.datasets.folder import FolderDataset, evaluation_list

            self._dataset = FolderDataset(data, list_file or evaluation_list(data))
        self.columns: list[Column] = find_columns((known or None) if self._dataset is None else self._dataset.classes)
        self.classes = self._dataset.classes if self._dataset else self.columns[0].card.classes if self.columns else ()
        self.splits = known_splits(self.classes, self.columns)

    @property
    def name(self) -> str:
        """What the photos are called."""
        return "Example photos" if self._dataset is None else self._dataset.root.resolve().name

    @property
    def photos(self) -> int:
        """How many there are."""
        return len(self.gallery.photos.names)

    def first_split(self) -> str:
        """The split with most models; of the examples, one with photos of its novel classes, as many as there are."""
        outlined = [set(example.outlines.get(self.columns[0].card.dataset, ())) for example in list_examples()]

        def worth(split: Split) -> tuple[bool, int, int]:
            novel = {split.classes[index] for index in split.novel}
            photos = 1 if self._dataset is not None else sum(bool(novel & shown) for shown in outlined)
            return photos > 0, len(columns_of(split, self.columns)), photos

        return max(self.splits, key=lambda name: worth(self.splits[name]))

    @property
    def gallery(self) -> Gallery:
        """Photos, models and predictions."""
        return self._both()[0]

    @property
    def background(self) -> Background:
        """Makes predictions ahead."""
        return self._both()[1]

    @answering
    def arrange(self, query: Any) -> Answer:
        """The photos of a query in their order; its predictions are made from now on.

        Returns:
            order: indices of photos. head: HTML above the rows. progress: as `progress` answers. rows: the first ones.
        """
        view = self.gallery.view(query)
        self.background.want(view)
        order = self.gallery.arrange(view)
        return {
            "order": order,
            "head": summary_html(view, len(order), len(self.gallery.listed(view))),
            "progress": self._progress(view),
            "rows": self._rows(view, order[: MOST_AT_ONCE // 3]),
        }

    @answering
    def rows(self, asked: Any) -> Answer:
        """{"query": ..., "indices": [...]} -> {"rows": {index: HTML}}."""
        view, indices = self._asked(asked)
        return {"rows": self._rows(view, indices)}

    @answering
    def progress(self, query: Any) -> Answer:
        """How far the predictions of a query are: done, finished, failed, and HTML."""
        return self._progress(self.gallery.view(query))

    @answering
    def figure(self, asked: Any) -> Answer:
        """{"query": ..., "indices": [...]} -> the rows as a PNG: its file name, and the picture as a data URI."""
        from simformer.compare.figure import MOST_ROWS, description, draw_figure

        view, indices = self._asked(asked, MOST_ROWS)
        finished = self.background.progress(view).finished
        shown = [self.gallery.row(view, index) for index in indices]
        # Its blank pictures would be taken for predictions. What failed is not waited for.
        coming = [row.name for row in shown if not row.problem and any(c.labels is None for c in row.cells.values())]
        if coming and not finished:
            raise ConfigError(
                f"predictions of {', '.join(coming)} are on their way: draw the figure when they are there"
            )
        picture = draw_figure(view, shown)
        stem = "".join(letter if letter.isalnum() else "-" for letter in f"{self.name}-{view.split.name}")
        return {
            "name": f"{stem}.png",
            "uri": data_uri(picture, "PNG", dpi=(300, 300), pnginfo=description(view, shown)),
        }

    def _both(self) -> tuple[Gallery, Background]:
        with self._making:
            if self._made is None:
                # Only here: they import torch.
                from simformer.compare.background import Background
                from simformer.compare.gallery import Gallery
                from simformer.compare.photos import example_photos
                from simformer.compare.predictions import Predictions

                photos = self._dataset or example_photos(self.classes)
                # A ZeroGPU Space lends its GPU to single calls only, not to a thread of its own.
                predictions = Predictions(cache_folder() / "predictions", "cpu" if on_zerogpu() else None)
                gallery = Gallery(photos, self.columns, predictions)
                self._made = gallery, Background(gallery)
            return self._made

    def _asked(self, asked: Any, most: int = MOST_AT_ONCE) -> tuple[View, list[int]]:
        asked = asked if isinstance(asked, dict) else {}
        indices = asked.get("indices")
        if not isinstance(indices, list) or not all(type(index) is int for index in indices):
            raise ConfigError("indices of photos are whole numbers")
        if len(indices) > most:
            raise ConfigError(f"at most {most} photos at a time")
        return self.gallery.view(asked.get("query", {})), indices

    def _rows(self, view: View, indices: list[int]) -> dict[str, str]:
        coming = not self.background.failed(view)
        return {str(index): row_html(view, self.gallery.row(view, index), coming) for index in indices}

    def _progress(self, view: View) -> Answer:
        found = self.background.progress(view)
        html = progress_html(found)
        return {"done": found.done, "finished": found.finished, "failed": found.failed, "html": html}


def no_models(compared: Compared) -> str:
    """Why nothing can be compared, as HTML; empty if something can."""
    if compared.columns and compared.splits:
        return ""
    from simformer.weights import WEIGHTS_VARIABLE, weights_folder

    return escape(
        f"No model in {weights_folder()} fits the classes of {compared.name}. "
        f"{WEIGHTS_VARIABLE} names a folder of weights; runs of a table may lie in it as they are."
    )
