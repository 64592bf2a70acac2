"""Cells that no run measured, with the numbers that a test wants."""

from __future__ import annotations

from datetime import UTC, datetime

from simformer.results import CellScores, ResultCell
from simformer.splits import dataset_classes

CLASSES = dataset_classes("msrc21")


def make_cell(iou=50.0, **changes):
    """A cell in which every class has the IoU `iou`, or those of a dictionary (None elsewhere)."""
    per_class = {name: iou.get(name) for name in CLASSES} if isinstance(iou, dict) else dict.fromkeys(CLASSES, iou)
    present = [value for value in per_class.values() if value is not None]
    fields = {
        "method": "SimFormer",
        "dataset": "msrc21",
        "split": "s1",
        "seed": 0,
        "steps": 4000,
        "points": 100,
        "scores": CellScores(miou=sum(present) / len(present) if present else None, per_class=per_class),
        "images": 100,
        "pixels": 6_000_000,
        "config": {"lr": 0.0003, "crop": 224},
        "command": "python -m train configs/msrc21.yaml",
        "commit": "abc",
        "device": "CPU",
        "wall_seconds": 700.0,
        "date": datetime(2026, 1, 2, tzinfo=UTC),
        "schedule": "cpu",
    }
    return ResultCell(**{**fields, **changes})


def only(rows, **fields):
    found = [row for row in rows if all(getattr(row, key) == value for key, value in fields.items())]
    assert len(found) == 1, found
    return found[0]
