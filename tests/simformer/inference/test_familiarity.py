from __future__ import annotations

import numpy as np
import pytest

from simformer.errors import ConfigError
from simformer.inference.familiarity import FILE, Familiarity, familiarity, read_familiarity
from simformer.segmentation import Segmentation

FITTED = Familiarity(
    threshold=0.4, alarms=0.05, held_out=10, fitted_with="s1", known=5, unknown=6, command="", commit="", date="",
    models={"s1": {"auroc": 0.9, "false_alarms": 0.1, "found": 0.8}},
)  # fmt: skip


def test_familiarity_is_the_mean_of_the_best_scores():
    scores = np.array([[[0.1, 0.8]], [[0.3, 0.2]]], np.float32)
    found = Segmentation(np.zeros((1, 2), np.uint8), scores, ("sky", "cat"), ("base", "novel"), "s1")
    assert familiarity(found) == pytest.approx(0.55)
    assert familiarity(found.with_threshold(0.5)) == familiarity(found)


def test_what_was_fitted_is_read_back(tmp_path):
    assert read_familiarity(tmp_path) is None
    (tmp_path / FILE).write_text(FITTED.model_dump_json())
    assert read_familiarity(tmp_path) == FITTED
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(ConfigError, match=FILE):
        read_familiarity(tmp_path)
