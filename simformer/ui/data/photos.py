"""A folder data set as the page shows it: small pictures, predictions and scores, in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simformer.batch.gallery import Evaluation, difference_image, evaluate_photos, resize_labels, score_photo
from simformer.checkpoint import check_classes
from simformer.datasets.check import TRAIN, VAL, FolderCheck
from simformer.datasets.folder import FolderDataset, evaluation_list
from simformer.errors import CheckpointError, SimFormerError
from simformer.labels import VOID, palette_image
from simformer.predictor import Predictor
from simformer.segmentation import Segmentation
from simformer.ui.parts.cache import Cache
from simformer.ui.parts.models import Models, title
from simformer.ui.parts.photos import VIEW_SIDE, Shown, data_uri
from simformer.utils.images import bounded, load_image

# Long side of the pictures on a card, twice their width on the page, for sharp displays.
CARD_SIDE = 320
# Label maps are kept as PNG, a few kilobytes each: some ten thousand photos.
PREDICTION_BYTES = 64 * 2**20
CARD_BYTES = 48 * 2**20

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Small:
    """A photo with its truth, shrunk.

    Attributes:
        shown: the picture.
        truth: uint8, of the picture's size; None for a photo that has only image-level labels.
    """

    shown: Shown
    truth: Labels | None


@dataclass(frozen=True)
class Card:
    """The pictures of one photo in the gallery, as data URIs; "" where there is none.

    Attributes:
        photo: JPEG. truth, prediction, difference: PNGs to lay over it.
        problem: why the photo cannot be shown; then nothing else is there.
    """

    photo: str = ""
    truth: str = ""
    prediction: str = ""
    difference: str = ""
    problem: str = ""


class OwnData:
    """A folder data set and what models have predicted on it so far. Everybody who has the page open shares it.

    Args:
        root: the folder.
        list_file: names the photos; None takes val.txt, or all photos if there is no such file.

    Attributes:
        dataset: the photos that are shown. name: the folder's. list_file: as given, or found.
        labelled: how many of the photos have a label map. check: what is known of the folder, its lists together.

    Raises:
        DatasetError: a file is missing or contradicts another.
    """

    def __init__(self, root: str | Path, list_file: str | None = None):
        list_file = list_file or evaluation_list(root)
        self.dataset = FolderDataset(root, list_file)
        self.name = self.dataset.root.resolve().name
        self.list_file = list_file
        self.labelled = sum(self.dataset.has_label_map(index) for index in range(len(self.dataset)))
        self._evaluations: dict[str, Evaluation] = {}
        self._predictions: Cache[bytes] = Cache(PREDICTION_BYTES)
        self._cards: Cache[Small] = Cache(CARD_BYTES)
        self.check = self.new_check()

    def new_check(self) -> FolderCheck:
        """The check of the folder, which has to be run anew, because something was mended."""
        self.check = FolderCheck(self.dataset.root, tuple(filter(None, (TRAIN, VAL, self.list_file))))
        return self.check

    def evaluation(self, model: str) -> Evaluation:
        """The scores of a model, empty at first."""
        return self._evaluations.setdefault(model, Evaluation(len(self.dataset.classes)))

    def predictor(self, models: Models, model: str) -> Predictor:
        """The model, once it is loaded.

        Raises:
            CheckpointError: it cannot be used, or its classes are not those of the data set.
        """
        predictor = models.predictor(model)
        try:
            check_classes(self.dataset.classes, predictor.classes)
        except CheckpointError as error:
            raise CheckpointError(
                f"{title(model)} cannot be compared with {self.name}, whose classes differ: {error}"
            ) from error
        return predictor

    def evaluate(self, models: Models, model: str) -> Iterator[int]:
        """Segment and score the photos that are still to be scored; yields the index of each when it is done."""
        predictor = self.predictor(models, model)
        for index, labels in evaluate_photos(self.dataset, _segment_with(predictor), self.evaluation(model)):
            self._keep(model, index, labels)
            yield index

    def predict(self, models: Models, model: str, index: int) -> Labels | None:
        """A model's label map of a photo, at most 800 pixels a side, scored on the way; None if the photo is bad."""
        known = self.known_prediction(model, index)
        if known is None:
            predictor = self.predictor(models, model)
            labels = score_photo(self.dataset, index, _segment_with(predictor), self.evaluation(model))
            known = self._keep(model, index, labels)
        return known

    def known_prediction(self, model: str, index: int) -> Labels | None:
        """The same if it is remembered, else None; runs no network."""
        known = self._predictions.get((model, index))
        return None if known is None else np.array(Image.open(io.BytesIO(known)))

    def small(self, index: int, side: int = VIEW_SIDE) -> Small:
        """Photo and truth with at most `side` pixels a side. Raises DatasetError if a file cannot be read."""
        image, truth = self.dataset.sample(index)
        full = (image.shape[1], image.shape[2])
        size = bounded(full, side)
        picture = load_image(image)
        if size != full:
            picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=2)
        shown = Shown(data_uri(picture, "JPEG", quality=88), size, full)
        return Small(shown, None if truth is None else resize_labels(truth.numpy(), size))

    def card(self, model: str | None, index: int) -> Card:
        """The card of a photo. Runs no network: without a remembered prediction it shows photo and truth."""
        try:
            small = self._small_card(index)
        except SimFormerError as error:
            return Card(problem=str(error))
        truth = "" if small.truth is None else self.overlay(small.truth)
        labels = None if model is None else self.known_prediction(model, index)
        if labels is None:
            return Card(small.shown.uri, truth)
        labels = resize_labels(labels, small.shown.size)
        wrong = "" if small.truth is None else difference_overlay(labels, small.truth)
        return Card(small.shown.uri, truth, self.overlay(labels), wrong)

    def overlay(self, labels: Labels) -> str:
        """Data URI of a label map in the classes' colors; 255 is transparent."""
        return data_uri(palette_image(labels, self.dataset.classes), "PNG", transparency=VOID)

    def segmentation(self, labels: Labels, roles: Sequence[str], model: str) -> Segmentation:
        """A label map alone as a segmentation, for functions that draw and describe it; it has no scores."""
        classes = self.dataset.classes
        return Segmentation(labels, np.zeros((len(classes), 1, 1), np.float32), classes, tuple(roles), model)

    def _small_card(self, index: int) -> Small:
        known = self._cards.get(index)
        if known is None:
            known = self.small(index, CARD_SIDE)
            truth_bytes = 0 if known.truth is None else known.truth.nbytes
            self._cards.put(index, known, len(known.shown.uri) + truth_bytes)
        return known

    def _keep(self, model: str, index: int, labels: Labels | None) -> Labels | None:
        if labels is None:
            return None
        small = resize_labels(labels, bounded(labels.shape, VIEW_SIDE))
        file = io.BytesIO()
        Image.fromarray(small).save(file, format="PNG")
        self._predictions.put((model, index), file.getvalue(), file.tell())
        return small


def _segment_with(predictor: Predictor) -> Any:
    return lambda image: predictor.segment(image).labels


def difference_overlay(prediction: Labels, truth: Labels) -> str:
    """Data URI of the difference map."""
    return data_uri(difference_image(prediction, truth), "PNG")
