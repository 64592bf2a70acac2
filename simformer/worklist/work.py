"""The worklist of a plan: photos in the order to draw in, with what each costs and what a model has drawn already."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simformer.composition import Segmenter
from simformer.costs import CostInputs
from simformer.costs.inputs import cost_of, drawing_seconds
from simformer.errors import ConfigError, SimFormerError
from simformer.labels import VOID, read_label_png
from simformer.splits import class_index
from simformer.worklist.candidates import Candidate, read_candidates
from simformer.worklist.looking import Look, look_at
from simformer.worklist.order import most_useful_first

MOST_PHOTOS = 2000
"""Of a worklist, and that a model looks at for one."""


@dataclass(frozen=True)
class Row:
    """A photo of a worklist.

    Attributes:
        place: from 1, the most useful first.
        photo: file name. draw: the classes whose masks it needs.
        known_from: who says that it shows them.
        model_has_drawn: those of them that the model sees.
        uncertainty: of the model, 0 to 1; None without one. variety: 0 (looks like one before it) to 1.
        seconds, money: to annotate it, quality control included; money_so_far: with all before it.
    """

    place: int
    photo: str
    draw: tuple[str, ...]
    known_from: Literal["image labels", "model"]
    model_has_drawn: tuple[str, ...]
    uncertainty: float | None
    variety: float
    seconds: float
    money: float
    money_so_far: float


class Worklist:
    """Which photos of a folder to draw masks of some classes in. `look` at the photos, then take `rows`.

    Args:
        root: a folder data set; photos without labels of any kind are welcome.
        inputs: prices, and how many instances a photo shows; the classes of the folder have to be among theirs.
        chosen: the classes that get masks.
        segmenter: draws for the annotators; its classes are those of the folder. None: nobody does.
        list_file: names the photos; None = train.txt, or all photos without it.
        again: take photos, too, that have masks of the chosen classes already, to have them checked.

    Attributes:
        classes: of the folder. chosen: in their order.
        looked, problems: photos that were looked at, and sentences on those that could not be.
        left_out: photos that may need masks, but are more than a model looks at.

    Raises:
        DatasetError: the folder cannot be used. UnknownClassError: a class is not there.
        ConfigError: no class was chosen, or the segmenter knows other classes.
    """

    def __init__(
        self,
        root: str | Path,
        inputs: CostInputs,
        chosen: Collection[str],
        segmenter: Segmenter | None = None,
        *,
        list_file: str | None = None,
        again: bool = False,
    ):
        self.root, self.inputs, self.segmenter = Path(root), inputs, segmenter
        self.classes, found = read_candidates(root, list_file)
        if not chosen:
            raise ConfigError("no class gets masks, so there is nothing to draw: image labels are all that is needed")
        places = sorted(class_index(self.classes, name) for name in chosen)
        for name in chosen:
            class_index(inputs.names, name)
        if segmenter is not None and segmenter.classes != self.classes:
            raise ConfigError(f"{segmenter.name} knows other classes than {self.root}, so it cannot draw for it")
        self.chosen = tuple(self.classes[place] for place in places)
        self._places = places
        if again:
            found = [Candidate(one.name, one.path, one.shown, frozenset()) for one in found]
        self._drawn = _photos_with(found, places)
        possible = [one for one in found if one.needed(frozenset(places)) != frozenset()]
        if segmenter is None:  # without a model nobody says what a photo without labels shows
            possible = [one for one in possible if one.shown is not None]
        # Spread evenly over the list, whose neighbours are often alike.
        picked = np.unique(np.linspace(0, len(possible) - 1, MOST_PHOTOS).round().astype(int)) if possible else []
        self._candidates = [possible[index] for index in picked]
        self.left_out = len(possible) - len(self._candidates)
        self.looked = 0
        self.problems: list[str] = []
        self._looks: list[tuple[Candidate, Look]] = []
        # Holds the model's label maps, and is deleted with this object.
        self._folder = tempfile.TemporaryDirectory(prefix="simformer-worklist-")

    def __len__(self) -> int:
        """Photos to look at."""
        return len(self._candidates)

    def look(self) -> Iterator[int]:
        """Look at the photos one by one; yields how many have been looked at. Stop whenever you like."""
        for number, candidate in enumerate(self._candidates[self.looked :], start=self.looked + 1):
            try:
                found = look_at(candidate, self._places, self.segmenter)
            except SimFormerError as error:
                self.problems.append(str(error))
            else:
                if found.labels is not None:
                    Image.fromarray(found.labels).save(self._file(candidate.name))
                kept = Look(found.size, found.needed, found.uncertainty, found.features, None)
                self._looks.append((candidate, kept))
            self.looked = number
            yield number

    def rows(self, most: int = 100) -> list[Row]:
        """Of the photos that were looked at, those worth drawing in, most useful first."""
        looks = [(candidate, look) for candidate, look in self._looks if look.needed]
        if not looks:
            return []
        needed = np.array([[place in look.needed for place in self._places] for _, look in looks])
        ranked = most_useful_first(
            needed,
            self._drawn,
            np.array([look.uncertainty or 0.0 for _, look in looks]),
            np.stack([look.features for _, look in looks]),
            min(most, MOST_PHOTOS),
        )
        rows, total = [], 0.0
        for place, one in enumerate(ranked, start=1):
            candidate, look = looks[one.index]
            draw = tuple(self.classes[index] for index in sorted(look.needed))
            cost = cost_of(self.inputs, self._seconds(draw, candidate))
            total += cost.money
            labels = self.labels(candidate.name) if look.uncertainty is not None else None
            seen = () if labels is None else tuple(self.chosen[value] for value in np.unique(labels) if value != VOID)
            rows.append(
                Row(
                    place=place,
                    photo=candidate.path.name,
                    draw=draw,
                    known_from="model" if candidate.shown is None else "image labels",
                    model_has_drawn=seen,
                    uncertainty=None if look.uncertainty is None else round(look.uncertainty, 4),
                    variety=round(one.variety, 4),
                    seconds=round(3600 * cost.hours, 1),
                    money=round(cost.money, 4),
                    money_so_far=round(total, 4),
                )
            )
        return rows

    def said(self, listed: int, model: str = "") -> str:
        """What the list is, in sentences. listed: photos on it. model: what people call the one that has drawn."""
        classes = ", ".join(self.chosen)
        whole = sum(1 for _, look in self._looks if look.needed)
        if not whole:
            none = "has no photo that shows them" if not len(self) else "shows them in no photo that was looked at"
            if self._drawn.any():
                return f"Nothing is left to draw: every photo known to show {classes} has masks of them already."
            return f"There is nothing to draw: {self.root.resolve().name} {none} ({classes})."
        text = f"{listed} of {whole} photos that need masks of {classes}, most useful first"
        text += f"; {model or self.segmenter.name} has drawn in them already." if self.segmenter else "."
        if self.left_out:
            text += f" {self.left_out:,} further photos, spread over the list, were not looked at."
        return text

    def labels(self, name: str) -> NDArray[np.uint8]:
        """What the model has drawn in a photo that was looked at: uint8, H x W, places in `chosen`; 255 elsewhere."""
        file = self._file(name)
        if not file.is_file():
            size = next(look.size for candidate, look in self._looks if candidate.name == name)
            return np.full(size, VOID, dtype=np.uint8)
        return read_label_png(file)

    def photo(self, file_name: str) -> Path:
        """The photo's file."""
        return self.root / "images" / file_name

    def _file(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.png"

    def _seconds(self, draw: Sequence[str], candidate: Candidate) -> float:
        """Drawing, and in a photo without labels the answer for every class that is not drawn."""
        of = {frequency.name: frequency for frequency in self.inputs.classes}
        seconds = sum(drawing_seconds(self.inputs, of[name], self.inputs.mask_kind) for name in draw)
        asked = 0 if candidate.shown is not None else len(self.classes) - len(draw)
        return seconds + asked * self.inputs.seconds.image_label


def _photos_with(found: Sequence[Candidate], places: Sequence[int]) -> NDArray[np.int64]:
    """Photos that have masks of each of the chosen classes."""
    return np.array([sum(place in one.drawn for one in found) for place in places], dtype=np.int64)
