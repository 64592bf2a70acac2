from __future__ import annotations

import numpy as np
import pytest
from made_cells import CLASSES, make_cell

from simformer.costs.backtest import backtest
from simformer.costs.evidence import PAPER, SHARES, fitted_sets
from simformer.results import read_results, write_result
from simformer.ui.costs.trusting import figure, said, trust

TABLE = "msrc21/cpu"


@pytest.fixture
def results(tmp_path):
    """Made-up cells in a folder: five role sets of SimFormer and FullyOracle."""
    rng = np.random.default_rng(0)
    write_result(make_cell(80.0, method="FullyOracle", split="all", points=None), tmp_path)
    for index in range(5):
        novel = set(rng.permutation(CLASSES)[: 3 + index].tolist())
        iou = {name: float(rng.uniform(20, 40) if name in novel else rng.uniform(70, 80)) for name in CLASSES}
        write_result(make_cell(iou, split=f"r{index}", novel=sorted(novel)), tmp_path)
    return tmp_path


def test_every_role_set_is_drawn_as_expected_and_as_measured(results):
    found = backtest(fitted_sets(read_results(results), TABLE))
    line, *groups = figure(found).data
    assert list(line.x) == list(line.y)
    for drawn, rows in zip(groups, (found.rows, found.novel_rows), strict=True):
        assert list(drawn.x) == [row.expected for row in rows]
        assert list(drawn.y) == [row.measured for row in rows]
        assert min(drawn.error_x.array) >= 0 and min(drawn.error_x.arrayminus) >= 0


def test_words(results):
    plot, text = trust(results, TABLE)
    found = backtest(fitted_sets(read_results(results), TABLE))
    assert plot.visible and f"off by {found.all.error:.1f} points" in text and found.verdict in text
    assert "two trainings of the same roles" not in text  # nobody has trained any of them twice
    assert "cost about the same" in text and said(found, None)[-1] == found.verdict


@pytest.mark.parametrize("key", [PAPER, SHARES, "msrc21/none"])
def test_what_cannot_be_tested_says_so(results, key):
    plot, text = trust(results, key)
    assert not plot.visible and plot.value is None and "Not tested" in text


def test_nested_role_sets_are_one_sentence(results, tmp_path):
    folder = tmp_path / "nested"
    write_result(make_cell(80.0, method="FullyOracle", split="all", points=None), folder)
    for count in (2, 3, 4):
        write_result(make_cell(50.0, split=f"n{count}", novel=list(CLASSES[:count])), folder)
    plot, text = trust(folder, TABLE)
    assert plot.value is None and "are nested: none can be predicted" in text
