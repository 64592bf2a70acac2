"""Masks on part of the photos: what they cost, and what they are expected to keep."""

from __future__ import annotations

import numpy as np
import pytest

from simformer.costs import class_cost, plan_cost, plan_rows, shipped_frequency
from simformer.costs.evidence import NOT_MEASURED, PAPER, SHARES, expectation, known_shares
from simformer.costs.mask_share import Curve
from simformer.costs.plan import plan_for
from simformer.costs.typed import read_inputs
from simformer.errors import ConfigError
from simformer.results import read_results
from simformer.splits import load_split

KEY = "msrc21/synthetic"
S1 = load_split("msrc21", "s1")
NOVEL = [S1.classes[index] for index in S1.novel]
MASKED = [S1.classes[index] for index in S1.base]


@pytest.fixture
def cells(synthetic_results):
    return read_results(synthetic_results, part_masked=True)


def inputs(share=1.0, **changes):
    return read_inputs(1000, shipped_frequency(), {}, 15.0, 20, None, "USD", mask_share=share, **changes)


@pytest.mark.parametrize("share", [0.25, 0.5, 1])
def test_masks_of_a_share_of_the_photos_cost_that_share(share):
    whole, none, part = (
        plan_cost(inputs(each), masked).money for each, masked in ((1, MASKED), (1, ()), (share, MASKED))
    )
    assert part == pytest.approx(share * whole + (1 - share) * none)
    assert plan_cost(inputs(share), ()).money == none  # image labels are needed in every photo
    rows = {row.class_name: row for row in plan_rows(inputs(share), MASKED)}
    full = {row.class_name: row for row in plan_rows(inputs(), MASKED)}
    assert all(rows[name].masks == pytest.approx(share * full[name].masks) for name in rows)
    assert all(rows[name].money == full[name].money for name in NOVEL)
    [cow] = [one for one in shipped_frequency() if one.name == "cow"]
    assert share < 1 or rows["cow"].money == class_cost(inputs(), cow, "mask").money


def test_of_an_assistants_masks_it_says_what_coarser_ones_keep(cells):
    whole = 61 + np.mean(S1.base)
    alone = [cell for cell in cells if cell.masks is None]
    plans = [
        plan_for(inputs().model_copy(update={"drawn_by": who}), known, split="s1", expected_from=KEY)
        for who, known in (("hand", cells), ("assistant", cells), ("assistant", alone))
    ]
    said = [plan.answer()["assistant_note"] for plan in plans]
    assert said[0] == "" and said[1].startswith(said[2]) and "is not measured" in said[2]
    assert f"at most 8 corners keep {(whole - 6) / whole:.0%} of the IoU of classes with masks (SimFormer" in said[1]


def test_what_is_kept_is_what_was_measured(cells):
    curves = known_shares(cells, KEY)
    assert curves is not None and (curves.method, curves.split, curves.least) == ("SimFormer", "s1", 0.5)
    role = {"base": S1.base, "novel": S1.novel}
    for name, value, curve in (("base", 60, curves.base), ("novel", 30, curves.novel)):
        whole = value + 1 + np.mean(role[name])
        assert curve.shares == (0.1, 0.5, 1) and curve.kept == pytest.approx(
            ((whole - 21) / whole, (whole - 11) / whole, 1)
        )
    everything = curves.whole.at(0.5)
    full, part = (plan_for(inputs(share), cells, split="s1", expected_from=KEY) for share in (1, 0.5))
    for index, kept in ((0, everything), (2, 1.0)):
        assert part.scenarios[index].expected.miou == pytest.approx(kept * full.scenarios[index].expected.miou)
    assert part.present.expected.base == pytest.approx(curves.base.at(0.5) * full.present.expected.base)
    assert part.present.expected.novel == pytest.approx(curves.novel.at(0.5) * full.present.expected.novel)
    assert "Masks on 50% of the photos keep" in part.present.expected.note
    assert "Masks of every class on 50% of the photos, and nothing else, keep" in part.scenarios[0].expected.note
    assert "With masks on all photos a SimFormer was trained" in part.present.expected.note
    assert "Masks on" not in full.present.expected.note


def test_between_shares_it_never_falls():
    curve = Curve((0.1, 0.25, 0.5, 1), (0.8, 0.95, 0.9, 1))
    found = [curve.at(share) for share in np.linspace(0.1, 1, 50)]
    assert found == sorted(found) and found[0] == pytest.approx(0.8) and found[-1] == 1
    assert curve.at(0.25) == pytest.approx(curve.at(0.5)) == pytest.approx(0.925)
    assert np.isnan(curve.at(0.05)) and Curve((0.5, 1), (1.1, 1)).at(0.5) == 1


def test_the_best_for_a_budget_is_found_with_it(cells):
    plans = [plan_for(inputs(share), cells, split="s1", expected_from=KEY, budget=700.0) for share in (1, 0.5)]
    assert all(plan.best is not None and plan.best.money <= 700 for plan in plans)
    assert len(plans[1].best.masked) >= len(plans[0].best.masked)
    assert plans[1].efficient and plans[1].decisions is not None


@pytest.mark.parametrize("share, key, have, sentence", [
    (0.4, KEY, (), "masks on less than 50% of the photos were not tried"),
    (0.5, PAPER, (), "what masks on 50% of the photos keep is not known of these classes"),
    (0.5, SHARES, (), "is not known of these classes"),
    (0.5, NOT_MEASURED, (), "is not known of these classes"),
    (0.5, KEY, ("cow",), "some classes with masks on all photos, others on part of them"),
])  # fmt: skip
def test_what_was_not_measured_is_said_in_a_sentence(cells, share, key, have, sentence):
    plan = plan_for(inputs(share, have=have), cells, split="s1", expected_from=key)
    for scenario in plan.scenarios:
        assert scenario.expected.miou is None and sentence in scenario.expected.note
    assert plan.scenarios[0].money > plan.scenarios[1].money > plan.scenarios[2].money  # what it costs is known
    assert plan.efficient == []


def test_without_such_results_there_is_no_curve(cells):
    ordinary = [cell for cell in cells if cell.masks is None]
    assert known_shares(ordinary, KEY) is known_shares(cells, PAPER) is None
    alone = [cell for cell in cells if cell.masks is None or cell.method != "FullyOracle"]
    assert known_shares(alone, KEY) is None


def test_part_masked_cells_change_no_other_expectation(cells):
    ordinary = [cell for cell in cells if cell.masks is None]
    for names in (S1.classes, ["gear", "bolt"]):
        for key in (KEY, SHARES):
            found = [expectation(given, key, names).expect(names, names[:1]) for given in (cells, ordinary)]
            assert found[0] == found[1]


@pytest.mark.parametrize("share", [0, -0.5, 1.5, 25, float("nan")])
def test_a_share_is_no_percentage(share):
    with pytest.raises(ConfigError, match="above 0 to 1, not a percentage"):
        inputs(share)
