"""Drawn scenes under other class names than their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from simformer.datasets.synthetic import write_scenes

CLASSES = ("sky", "grass", "cat")
"""Those of the tiny models."""


def name_classes(root: Path, classes: Sequence[str]) -> Path:
    """Gives the scenes of a folder these K classes; its label maps hold only them, and void."""
    (root / "classes.txt").write_text("\n".join(classes))
    for path in (root / "labels").iterdir():
        labels = np.asarray(Image.open(path))
        Image.fromarray(np.where(labels == 255, labels, labels % len(classes)).astype(np.uint8)).save(path)
    return root


def write_three_classes(root: Path, size: tuple[int, int]) -> Path:
    """Eight scenes of (height, width) and `CLASSES`; val.txt names three of them."""
    return name_classes(write_scenes(root, 8, size=size, val_share=3 / 8), CLASSES)
