"""A folder data set of the tiny models' classes, for every step of the tab."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from simformer.datasets.synthetic import write_scenes
from simformer.ui.data.photos import OwnData

CLASSES = ("sky", "grass", "cat")


@pytest.fixture
def root(tmp_path):
    """Eight drawn scenes whose classes are the three of the tiny models; val.txt names three of them."""
    folder = write_scenes(tmp_path / "scenes", 8, size=(48, 64), val_share=3 / 8)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    for path in (folder / "labels").iterdir():
        labels = np.asarray(Image.open(path))
        Image.fromarray(np.where(labels == 255, labels, labels % 3).astype(np.uint8)).save(path)
    return folder


@pytest.fixture
def own(root):
    return OwnData(root, "train.txt")
