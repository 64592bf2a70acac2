"""The scores of a model on a data set as CSV texts, for spreadsheets."""

from __future__ import annotations

from collections.abc import Sequence

from simformer.batch.gallery import Evaluation
from simformer.results import to_csv

UNSURE = "unsure"


def classes_csv(classes: Sequence[str], roles: Sequence[str], evaluation: Evaluation) -> str:
    """A line a class: its role, IoU in percent (empty: the truth never shows it), pixels of truth and prediction."""
    counts, ious = evaluation.matrix.counts, evaluation.scores().per_class
    return to_csv(
        [
            {
                "class": name,
                "role": role,
                "iou": _rounded(iou),
                "true_pixels": int(counts[index].sum()),
                "predicted_pixels": int(counts[:, index].sum()),
            }
            for index, (name, role, iou) in enumerate(zip(classes, roles, ious, strict=True))
        ]
    )


def photos_csv(names: Sequence[str], evaluation: Evaluation) -> str:
    """A line a scored photo: mIoU and right pixels in percent, or why there is no score."""
    return to_csv(
        [
            {
                "photo": names[index],
                "miou": _rounded(score.miou),
                "pixels_right": _rounded(score.accuracy),
                "problem": score.problem,
            }
            for index, score in sorted(dict(evaluation.photos).items())
        ]
    )


def confusion_csv(classes: Sequence[str], evaluation: Evaluation) -> str:
    """The confusion matrix in pixels: a line a true class, a column a predicted one, the last for unsure pixels."""
    columns = [*(f"predicted {name}" for name in classes), UNSURE]
    return to_csv(
        [
            {"truth": name, **dict(zip(columns, line, strict=True))}
            for name, line in zip(classes, evaluation.matrix.counts.tolist(), strict=True)
        ]
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
