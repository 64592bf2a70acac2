"""A folder data set of the tiny models' classes, for every step of the tab."""

from __future__ import annotations

import pytest
from drawn_classes import write_three_classes

from simformer.ui.data.photos import OwnData


@pytest.fixture
def root(tmp_path):
    """Eight drawn scenes whose classes are the three of the tiny models; val.txt names three of them."""
    return write_three_classes(tmp_path / "scenes", (48, 64))


@pytest.fixture
def own(root):
    return OwnData(root, "train.txt")
