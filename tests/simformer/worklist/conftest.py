"""A folder in which some photos have masks, some image labels, some nothing; and a model that sees what is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from simformer.costs import ClassFrequency, CostInputs, cost_inputs
from simformer.segmentation import Segmentation

CLASSES = ("sky", "cow", "cat")
SIZE = (24, 32)


@pytest.fixture
def folder(tmp_path) -> Path:
    """a: sky and cow drawn. b: said to show cow and cat, sky drawn. c: said to show cat. d: unlabelled. e: broken."""
    root = tmp_path / "mine"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    for number, name in enumerate("abcde"):
        pixels = np.full((*SIZE, 3), 40 * number, np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{name}.png")
    (root / "images" / "e.png").write_bytes(b"no photo")
    (root / "classes.txt").write_text("\n".join(CLASSES))
    labels = np.zeros(SIZE, np.uint8)
    Image.fromarray(labels).save(root / "labels" / "b.png")
    labels[:, 16:] = 1
    Image.fromarray(labels).save(root / "labels" / "a.png")
    (root / "image_labels.csv").write_text("photo,class\nb,cow\nb,cat\nc,cat\ne,cow\n")
    return root


@pytest.fixture
def inputs() -> CostInputs:
    """A mask takes 36 s, an answer 1 s; 100 an hour, that is 1 for 36 s; checking adds a quarter."""
    counted = {"sky": None, "cow": 2.0, "cat": 1.0}
    classes = tuple(ClassFrequency(name=name, share=0.5, instances=instances) for name, instances in counted.items())
    seconds = {"mask": 36.0, "image_label": 1.0}
    return cost_inputs(
        images=5, classes=classes, seconds=seconds, hourly_rate=100, quality_control=0.25, instances=3.0, currency="EUR"
    )


class Halves:
    """Sees cow at the left and cat at the right of every photo, the surer the brighter the photo is."""

    name, classes, roles, device = "halves", CLASSES, ("base",) * 3, torch.device("cpu")

    def segment(self, image, *, threshold=0.0) -> Segmentation:
        scores = np.full((3, 6, 8), 0.1, np.float32)
        scores[1, :, :4] = scores[2, :, 4:] = 0.2 + np.asarray(image).mean() / 255
        labels = np.zeros((image.height, image.width), np.uint8)
        return Segmentation(labels, scores, self.classes, self.roles, self.name)


@pytest.fixture
def halves() -> Halves:
    return Halves()
