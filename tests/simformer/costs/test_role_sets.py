from __future__ import annotations

import numpy as np
import pytest
from made_cells import CLASSES, make_cell

from simformer.costs.frequency import shipped_together
from simformer.costs.role_sets import MeasuredSets, RoleSet, measured_sets, sets_like
from simformer.errors import ConfigError

ORACLE = make_cell(80.0, method="FullyOracle", split="all", points=None)


def plus(split, iou=60.0, **changes):
    return make_cell(iou, method="SimFormer+", split=split, **changes)


def four(method="SimFormer", **changes):
    return [make_cell(method=method, split=f"s{index}", **changes) for index in (1, 2, 3, 4)]


def test_the_best_variant_is_taken_where_it_measured_enough():
    cells = [ORACLE, *four(), *(plus(f"s{index}") for index in (1, 2, 3))]
    assert measured_sets(cells)["msrc21"].method == "SimFormer"
    assert measured_sets([*cells, plus("s4")])["msrc21"].method == "SimFormer+"
    assert measured_sets([*cells, plus("s4")], "SimFormer")["msrc21"].method == "SimFormer"


def test_of_several_tables_that_with_most_role_sets():
    other = [cell.model_copy(update={"schedule": "more"}) for cell in (ORACLE, *four(), make_cell(split="s5"))]
    assert measured_sets([ORACLE, *four(), *other])["msrc21"].schedule == "more"


def test_seeds_of_a_role_set_are_kept_apart_and_other_points_are_left_out():
    seeds = [make_cell(50.0, split="s1"), make_cell(60.0, split="s1", seed=1), make_cell(99.0, split="s1", points=7)]
    sky = make_cell({"sky": 40.0}, method="FullyOracle", split="all", points=None)
    measured = measured_sets([sky, *seeds, *four()[1:]])["msrc21"]
    first = measured.sets[0]
    assert (first.name, first.iou.shape) == ("s1", (2, 21))
    assert first.iou[:, 0].tolist() == [50, 60] and first.mean_iou[0] == 55
    assert [CLASSES[index] for index in np.nonzero(first.novel)[0]] == ["tree", "sheep", "bicycle", "road", "dog"]
    assert measured.oracle[CLASSES.index("sky")] == 40 and np.isnan(measured.oracle).sum() == 20
    assert np.array_equal(measured.together, shipped_together("msrc21", CLASSES))


@pytest.mark.parametrize("cells", [[], four(), [ORACLE, *four()[:3]], [ORACLE, *four(label_rule="crop")]])
def test_too_little_is_measured(cells):
    with pytest.raises(ConfigError, match="4 role sets of SimFormer\\+ or SimFormer and a FullyOracle"):
        measured_sets(cells)
    with pytest.raises(ConfigError, match="4 role sets of RETAB and"):
        measured_sets(cells, "RETAB")


def role_set(*novel):
    return RoleSet("", np.isin(np.arange(6), novel), np.zeros((1, 6)))


def test_nested_role_sets():
    few, more, other = role_set(1, 2), role_set(1, 2, 4), role_set(2, 4, 5)
    assert few.nested_with(more) and more.nested_with(few) and few.nested_with(few)
    assert not more.nested_with(other) and not few.nested_with(other)
    cells = [ORACLE, *(make_cell(split=f"s{index}") for index in range(1, 7))]
    measured = measured_sets(cells)["msrc21"]
    assert [found.name for found in measured.unrelated_to(measured.sets[4]).sets] == ["s1", "s2", "s3"]
    assert measured.find(measured.sets[2].novel).name == "s3"
    assert measured.find(np.ones(21, dtype=bool)) is None


def test_sealed_role_sets_are_of_the_same_method_and_table():
    measured = measured_sets([ORACLE, *four()])["msrc21"]
    drawn = make_cell(split="r", novel=["sky", "cat"])
    assert [found.name for found in sets_like(measured, [drawn, plus("r2", novel=["cat"])]).sets] == ["r"]
    assert sets_like(measured, [drawn.model_copy(update={"schedule": "other"})]) is None


def test_what_is_kept_of_nothing_is_not_known():
    oracle = np.array([80.0, 0.0, np.nan])
    measured = MeasuredSets("own", "SimFormer+", "own", ("cat", "dog", "sky"), oracle, ())
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(measured.kept(np.array([60.0, 0.0, 30.0])), [0.75, np.nan, np.nan])
