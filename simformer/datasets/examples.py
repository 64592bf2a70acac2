"""Photos that installed packages carry, with outlines of this project's own: examples and truth without a download.

The outlines are rough polygons snapped to edges by a watershed and checked by eye; no network had a part in them. As in
MSRC-21, a face goes with its hair to the chin, and the neck belongs to the body.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simformer.errors import ConfigError
from simformer.evaluation import ConfusionMatrix, Scores
from simformer.labels import VOID
from simformer.paths import DATA
from simformer.splits import class_index, dataset_classes

if TYPE_CHECKING:
    from simformer.predictor import Predictor

Outlines = Mapping[str, list[list[float]]]
"""Class -> its rings, each x, y, x, y ... in pixels, (0, 0) the first's middle; a ring inside another is a hole."""


@dataclass(frozen=True)
class Example:
    """A photo of an installed package.

    Attributes:
        name: what the page calls it.
        package, file: where it is.
        sha256: of the file, as it was when it was outlined.
        size: (width, height) in pixels.
        license: of the photo, and whom it is from, as the package says.
        outlines: data set -> the outlines of its classes; what has none is of no known class, or not sure.
    """

    name: str
    package: str
    file: str
    sha256: str
    size: tuple[int, int]
    license: str
    outlines: Mapping[str, Outlines]

    @property
    def path(self) -> Path | None:
        """The file, None if it is not there; the package is found without being imported."""
        spec = importlib.util.find_spec(self.package)
        path = Path(spec.origin).parent / self.file if spec is not None and spec.origin is not None else None
        return path if path is not None and path.is_file() else None


def list_examples() -> tuple[Example, ...]:
    """The examples whose files are there, in the order of the page."""
    return tuple(example for example in _table() if example.path is not None)


def example_of(photo: Path) -> Example | None:
    """The example that a file is, or is a copy of; None for all other photos."""
    digest = hashlib.sha256(photo.read_bytes()).hexdigest()
    return next((example for example in _table() if example.sha256 == digest), None)


def load_example_truth(name: str, dataset: str) -> NDArray[np.uint8] | None:
    """The label map of an example: uint8, H x W, 255 where no class of the data set is outlined.

    Returns:
        None if nothing of the data set is outlined in the photo, or the file is missing or no longer the one outlined.

    Raises:
        ConfigError: there is no example of that name.
    """
    found = next((example for example in _table() if example.name == name), None)
    if found is None:
        raise ConfigError(f"there is no example {name!r}; there are {', '.join(e.name for e in _table())}")
    path = found.path
    if path is None or example_of(path) is not found:
        return None
    return truth(found, dataset)


def truth(example: Example, dataset: str) -> NDArray[np.uint8] | None:
    """The outlines of a data set's classes as a label map (uint8, H x W, 255 elsewhere); None if there are none."""
    if dataset not in example.outlines:
        return None
    return _drawn(example.name, dataset)


@cache
def _drawn(name: str, dataset: str) -> NDArray[np.uint8]:
    """`truth`, once for all: filling outlines takes half a second, and the page asks for each again and again."""
    from skimage.draw import polygon2mask

    example = next(example for example in _table() if example.name == name)
    width, height = example.size
    classes = dataset_classes(dataset)
    labels = np.full((height, width), VOID, np.uint8)
    for class_name, rings in example.outlines[dataset].items():
        inside = np.zeros((height, width), bool)
        for ring in rings:
            inside ^= polygon2mask((height, width), np.reshape(ring, (-1, 2))[:, ::-1])
        labels[inside] = class_index(classes, class_name)
    labels.flags.writeable = False
    return labels


def example_scores(predictor: Predictor) -> dict[str, Scores]:
    """Name -> how well a model does on each example in which classes of its data set are outlined.

    As everywhere, only outlined pixels count: a class seen where no class is outlined costs nothing.

    Raises:
        SimFormerError: whatever `segment` raises.
    """
    scores = {}
    for example in list_examples():
        labels = load_example_truth(example.name, predictor.card.dataset)
        if labels is not None:
            matrix = ConfusionMatrix(len(predictor.classes))
            matrix.update(predictor.segment(example.path).labels, labels)
            scores[example.name] = matrix.scores(predictor.card.novel)
    return scores


@cache
def _table() -> tuple[Example, ...]:
    photos = json.loads((DATA / "example_photos.json").read_text(encoding="utf-8"))
    return tuple(Example(**{**photo, "size": tuple(photo["size"])}) for photo in photos)
