"""A small drawn data set with tiny models of several methods behind the Compare tab."""

from __future__ import annotations

import pytest
from compared import write_models, write_photos

from simformer.ui.compare.served import Compared

CLASSES = ("sky", "grass", "cat")


@pytest.fixture
def root(tmp_path):
    return write_photos(tmp_path / "scenes", 6, CLASSES)


@pytest.fixture
def compared(root, tmp_path, make_card, monkeypatch):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(write_models(tmp_path / "runs", make_card)))
    monkeypatch.setenv("SIMFORMER_CACHE", str(tmp_path / "cache"))
    return Compared(root)
