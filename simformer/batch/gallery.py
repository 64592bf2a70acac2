"""A folder data set beside a model's predictions: scores photo by photo, what to look at first, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from simformer.datasets.folder import FolderDataset
from simformer.errors import SimFormerError
from simformer.evaluation import ConfusionMatrix, Scores
from simformer.labels import VOID

# Values of a difference map, and their colors: blue, orange and gray differ for every kind of color vision, in
# hue where there is any, and in lightness.
RIGHT, WRONG = 0, 1
DIFFERENCE_COLORS = {RIGHT: (20, 100, 190), WRONG: (255, 160, 0), VOID: (205, 205, 205)}

Order = Literal["worst", "best", "least accurate", "name"]
# (true class, predicted class); the latter is K for "unsure".
Pair = tuple[int, int]


@dataclass(frozen=True)
class PhotoScore:
    """How well a model segments one photo.

    Attributes:
        miou: mean IoU over the classes of the photo's truth, percent; None where the truth is void everywhere.
        accuracy: labelled pixels that have the right class, percent; None likewise.
        ious: IoU in percent of every class that truth or prediction shows; 0 for one that only the prediction has.
        confusion: pixels by (true class, predicted class), where there are any; the latter is K where it is unsure.
        problem: why there is no score, a sentence; empty if there is one.
    """

    miou: float | None = None
    accuracy: float | None = None
    ious: Mapping[int, float] = field(default_factory=dict)
    confusion: Mapping[Pair, int] = field(default_factory=dict)
    problem: str = ""


class Evaluation:
    """What is known so far about one model on one data set; several threads may add to it.

    Attributes:
        photos: score by photo index, in the order in which they were scored.
        matrix: all scored photos together.
    """

    def __init__(self, num_classes: int):
        self.photos: dict[int, PhotoScore] = {}
        self.matrix = ConfusionMatrix(num_classes)
        self._lock = Lock()

    def add(self, index: int, prediction: ArrayLike, truth: ArrayLike) -> PhotoScore:
        """Score a photo; one that is scored already is not counted twice.

        Args:
            prediction, truth: H x W integers, class index or 255 (unsure, void).

        Raises:
            DatasetError: the sizes differ, or a value is neither a class index nor 255.
        """
        matrix = ConfusionMatrix(self.matrix.num_classes)
        matrix.update(prediction, truth)
        score = _photo_score(matrix, np.asarray(prediction))
        with self._lock:
            if index not in self.photos:
                self.photos[index] = score
                self.matrix.counts += matrix.counts
                self.matrix.images += 1
        return self.photos[index]

    def fail(self, index: int, problem: str) -> None:
        """Note why a photo has no score."""
        with self._lock:
            self.photos.setdefault(index, PhotoScore(problem=problem))

    @property
    def problems(self) -> dict[int, str]:
        """Sentence by photo index of the photos that could not be scored."""
        return {index: score.problem for index, score in dict(self.photos).items() if score.problem}

    @property
    def accuracy(self) -> float | None:
        """Labelled pixels of all scored photos that have the right class, percent; None if there are none."""
        return _accuracy(self.matrix)

    def scores(self, novel: tuple[int, ...] = ()) -> Scores:
        """Mean IoU over all, base and novel classes and that of each class, over the photos scored so far."""
        return self.matrix.scores(novel)


def _photo_score(matrix: ConfusionMatrix, prediction: NDArray[Any]) -> PhotoScore:
    ious = {int(index): 0.0 for index in np.unique(prediction) if index != VOID}
    shown = {index: iou for index, iou in enumerate(matrix.scores().per_class) if iou is not None}
    pairs = zip(*(indices.tolist() for indices in np.nonzero(matrix.counts)), strict=True)
    confusion = {pair: int(matrix.counts[pair]) for pair in pairs}
    return PhotoScore(matrix.scores().miou, _accuracy(matrix), ious | shown, confusion)


def _accuracy(matrix: ConfusionMatrix) -> float | None:
    total = matrix.counts.sum()
    return float(100 * np.trace(matrix.counts) / total) if total else None


def evaluate_photos(
    dataset: FolderDataset, segment: Callable[[Any], NDArray[np.uint8]], evaluation: Evaluation
) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
    """Score the photos that have a label map and no score yet, one at a time; stop whenever you like.

    A photo that cannot be read, or does not fit its label map, is noted in the evaluation and passed over.

    Args:
        segment: takes a photo (uint8, 3 x H x W, RGB), returns its label map (uint8, H x W, 255 = unsure).
        evaluation: gets the scores.

    Yields:
        (photo index, its predicted label map, None where it failed), after each photo.
    """
    for index in to_score(dataset, evaluation):
        yield index, score_photo(dataset, index, segment, evaluation)


def score_photo(
    dataset: FolderDataset, index: int, segment: Callable[[Any], NDArray[np.uint8]], evaluation: Evaluation
) -> NDArray[np.uint8] | None:
    """Segment and score one photo, as `evaluate_photos` does; without a label map it is only segmented."""
    try:
        image, truth = dataset.sample(index)
        prediction = segment(image)
        if truth is not None:
            evaluation.add(index, prediction, truth)
    except SimFormerError as error:
        evaluation.fail(index, str(error))
        return None
    return prediction


def to_score(dataset: FolderDataset, evaluation: Evaluation) -> list[int]:
    """Indices of the photos that have a label map and no score yet."""
    return [index for index in range(len(dataset)) if index not in evaluation.photos and dataset.has_label_map(index)]


def arrange(
    dataset: FolderDataset,
    evaluation: Evaluation,
    order: Order = "name",
    class_index: int | None = None,
    pair: Pair | None = None,
) -> list[int]:
    """Photo indices in the order to look at them; those without a score come last, by name.

    Args:
        order: "worst" and "best" go by the photo's mIoU, or by the IoU of the class that is asked for;
            "least accurate" by pixel accuracy.
        class_index: only photos whose truth or prediction shows this class.
        pair: only photos in which pixels of one class were given to another, those with most of them first, whatever
            the order.
    """
    if pair is not None:
        taken = {index: score.confusion.get(pair, 0) for index, score in dict(evaluation.photos).items()}
        found = [index for index, pixels in taken.items() if pixels]
        return sorted(found, key=lambda index: (-taken[index], dataset.names[index]))
    indices = [
        index
        for index in range(len(dataset))
        if class_index is None or class_index in photo_classes(dataset, evaluation, index)
    ]
    indices.sort(key=lambda index: dataset.names[index])
    if order == "name":
        return indices

    def value(index: int) -> float | None:
        score = evaluation.photos.get(index)
        if score is None:
            return None
        if order == "least accurate":
            return score.accuracy
        return score.miou if class_index is None else score.ious.get(class_index)

    values = {index: value(index) for index in indices}
    sign = -1 if order == "best" else 1
    return sorted(indices, key=lambda index: (values[index] is None, sign * (values[index] or 0)))


def photo_classes(dataset: FolderDataset, evaluation: Evaluation, index: int) -> frozenset[int]:
    """Classes that a photo's truth shows (with its image-level labels), and its prediction if it has been scored."""
    score = evaluation.photos.get(index)
    predicted = frozenset() if score is None else frozenset(score.ious)
    try:
        return predicted | frozenset(dataset.image_labels(index))
    except SimFormerError:  # the photo's own card says what is wrong with it
        return predicted


def difference(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where a prediction is right (0), wrong (1, unsure included), and where the truth is void (255); uint8, H x W."""
    return np.where(truth == VOID, VOID, np.where(prediction == truth, RIGHT, WRONG)).astype(np.uint8)


def difference_image(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Image.Image:
    """The difference map as a palette image in `DIFFERENCE_COLORS`."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    for value, color in DIFFERENCE_COLORS.items():
        palette[value] = color
    image = Image.fromarray(difference(prediction, truth))
    image.putpalette(palette.tobytes())
    return image


def resize_labels(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A label map (uint8, H x W) at another (height, width): each pixel takes the nearest label."""
    height, width = size
    return np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))
