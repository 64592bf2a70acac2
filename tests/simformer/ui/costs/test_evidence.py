from __future__ import annotations

import pytest

from simformer.costs import KINDS
from simformer.costs.evidence import NOT_MEASURED, SHARES
from simformer.costs.frequency import shipped_frequency
from simformer.costs.typed import frequency_rows
from simformer.results import CellScores, read_results, write_result
from simformer.ui.costs.calculating import calculate, typed_plan

CLASSES = ("gear", "bolt", "nut")
IOU = {"CAM": (10.0, 20.0, 30.0), "FullyOracle": (60.0, 70.0, 80.0)}


def typed(expected_from, rows=None, masked=("gear",)):
    rows = rows or [[name, 20, 1] for name in CLASSES]
    seconds = [10.0] * len(KINDS)
    return [100, rows, list(masked), 15, "USD", 0, 1.0, None, expected_from, "", [], "hand", 100, *seconds]


@pytest.fixture
def pilot(synthetic_results, tmp_path):
    """The synthetic results, and a folder with CAM and FullyOracle of classes of one's own."""
    cells = read_results(synthetic_results)
    for method, iou in IOU.items():
        scores = CellScores(miou=iou[1], per_class=dict(zip(CLASSES, iou, strict=True)))
        mine = {"dataset": "custom", "schedule": "own", "split": "mine", "novel": [], "scores": scores}
        write_result(next(cell for cell in cells if cell.method == method).model_copy(update=mine), tmp_path)
    return synthetic_results, tmp_path


def test_a_pilot_says_what_masks_and_labels_alone_give_and_other_data_sets_the_rest(pilot):
    plan = typed_plan(pilot, *typed("custom/own"))
    everything, weak, labels = plan.scenarios
    assert plan.evidence == "pilot" and everything.expected.miou == 70 and labels.expected.miou == 20
    assert weak.expected.low < weak.expected.miou < weak.expected.high and weak.expected.novel < 75
    assert plan.answer()["evidence"] == "pilot"


def test_levels_of_evidence_are_named(pilot, tmp_path):
    shown = calculate(pilot, *typed("custom/own"))[0]
    assert "Evidence: a pilot." in shown and "MSRC-21" in shown
    shown = calculate(pilot, *typed("msrc21/synthetic", frequency_rows(shipped_frequency()), ["cow"]))[0]
    assert "Evidence: role sets." in shown
    shown = calculate(pilot, *typed(SHARES))[0]
    assert "Evidence: other data sets." in shown and "of full masks" in shown
    assert "Evidence" not in calculate(tmp_path / "none", *typed(NOT_MEASURED))[0]
