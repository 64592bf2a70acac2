"""Which results plans rest on."""

from __future__ import annotations

import pytest
from made_cells import make_cell

from simformer.costs import evidence


def test_shipped_results_stand_beside_ones_own(tmp_path, monkeypatch):
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    for seed, folder in enumerate((shipped, own)):
        folder.mkdir()
        (folder / "a.json").write_text(make_cell(seed=seed).model_dump_json())

    def seeds_in(folder):
        return [cell.seed for cell in evidence.planning_cells(folder, report=pytest.fail)]

    monkeypatch.setattr(evidence, "RESULTS", shipped)
    monkeypatch.setattr(evidence, "RESULTS_FOLDER", own)
    assert seeds_in(own) == [1, 0]
    assert seeds_in(shipped) == [0]
    assert seeds_in((own, shipped)) == [1, 0]
    monkeypatch.setattr(evidence, "RESULTS_FOLDER", shipped)
    assert seeds_in(own) == [1]  # another folder, and that alone, was asked for
