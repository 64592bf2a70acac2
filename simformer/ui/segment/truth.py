"""How well models do on a photo that is outlined: its truth as one more view, and their mean IoU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simformer.datasets.examples import example_of, truth
from simformer.evaluation import ConfusionMatrix
from simformer.ui.parts.models import Choice, Models
from simformer.ui.parts.photos import Photo
from simformer.ui.segment.draw import View, class_overlay, describe

if TYPE_CHECKING:
    from simformer.segmentation import Segmentation

KEY = "truth"
NOT_OUTLINED = "not outlined"


def outlined(models: Models, photo: Photo, choice: Choice | None) -> Segmentation | None:
    """The outlines of an example photo, or of a copy, as if a model had drawn them; None for all other photos.

    The size is that of the picture on the page, the classes' roles are those in the chosen SimFormer.
    Raises ImageError: the photo cannot be read.
    """
    example = example_of(photo.path)
    labels = truth(example, models.dataset) if example else None
    if labels is None:
        return None
    import numpy as np

    from simformer.batch.gallery import resize_labels
    from simformer.segmentation import Segmentation
    from simformer.splits import dataset_classes

    classes = dataset_classes(models.dataset)
    size = models.shown(photo).size
    no_scores = np.zeros((len(classes), 1, 1), np.float32)
    roles = tuple(models.roles_of(choice)) or ("base",) * len(classes)
    return Segmentation(resize_labels(labels, size), no_scores, classes, roles, KEY)


def truth_views(truth: Segmentation | None) -> list[View]:
    """The view of the truth, if there is one."""
    if truth is None:
        return []
    overlay, text = class_overlay(truth), describe(truth, NOT_OUTLINED)
    return [View(KEY, "Truth", "outlined for this page", overlay, text, KEY, unlabelled=NOT_OUTLINED, sure=True)]


def score(found: Segmentation, truth: Segmentation | None) -> str:
    """How well a model does, such as "mIoU 83.2": percent, over the classes and the pixels outlined; or nothing.

    Unsure pixels count as wrong.
    """
    if truth is None or found.classes != truth.classes:
        return ""
    matrix = ConfusionMatrix(len(truth.classes))
    matrix.update(found.labels, truth.labels)
    return f"mIoU {matrix.scores().miou:.1f}"
