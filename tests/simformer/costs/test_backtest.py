from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_roles import draw_sets, draw_truth, random_novel

from simformer.costs.backtest import backtest, from_other, in_other_shares, of_sealed
from simformer.costs.expectation import fit_roles
from simformer.costs.role_sets import RoleSet
from simformer.errors import ConfigError


def drawn(seed=0, number=16, **effects):
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, **effects)
    return truth, draw_sets(rng, truth, number)


def with_iou(measured, index, iou):
    sets = list(measured.sets)
    sets[index] = replace(sets[index], iou=iou)
    return replace(measured, sets=tuple(sets))


def test_rows_and_errors():
    _, measured = drawn()
    found = backtest(measured)
    assert [row.name for row in found.rows] == [one.name for one in measured.sets]
    for row, novel_row, role_set in zip(found.rows, found.novel_rows, measured.sets, strict=True):
        assert row.measured == pytest.approx(role_set.mean_iou.mean())
        assert novel_row.measured == pytest.approx(role_set.mean_iou[role_set.novel].mean())
        assert row.low <= row.expected <= row.high
    off = [abs(row.expected - row.measured) for row in found.rows]
    assert found.all.error == pytest.approx(np.mean(off))
    held = [row.low <= row.measured <= row.high for row in found.rows]
    assert found.all.coverage == pytest.approx(np.mean(held))
    beyond = [max(row.low - row.measured, row.measured - row.high, 0) for row in found.rows]
    widths = [row.high - row.low for row in found.rows]
    assert found.all.interval_score == pytest.approx(np.mean(widths) + 10 * np.mean(beyond))


def test_the_constant_is_the_mean_of_the_others():
    truth, measured = drawn()
    rng = np.random.default_rng(3)
    # Of one size, so that none is nested with another.
    sets = tuple(truth.train(rng, f"r{index}", random_novel(rng, 21, 6, 6)) for index in range(5))
    found = backtest(replace(measured, sets=sets))
    means = np.array([row.measured for row in found.rows])
    others = [np.delete(means, index).mean() for index in range(len(means))]
    assert found.all.constant_error == pytest.approx(np.abs(means - others).mean())


def test_a_role_set_and_those_nested_with_it_do_not_tell():
    truth, measured = drawn(number=9)
    inside = measured.sets[8].novel.copy()
    inside[np.nonzero(inside)[0][0]] = False
    nested = RoleSet("inside", inside, truth.train(np.random.default_rng(5), "", inside).iou)
    measured = replace(measured, sets=(*measured.sets, nested))
    before = backtest(measured)
    after = backtest(with_iou(measured, 9, np.full((1, 21), 1.0)))
    expected = [[row.expected for row in found.rows] for found in (before, after)]
    assert before.count_alone == after.count_alone
    assert expected[0][8] == expected[1][8] and expected[0][9] == expected[1][9]
    assert expected[0][0] != expected[1][0]


def test_classes_are_told_apart_where_they_differ():
    found = backtest(drawn(class_sd=1.2)[1])
    assert not found.count_alone and "class" in found.terms
    assert found.all.error < found.all.count_only_error < found.all.constant_error
    assert found.novel.error < found.novel.count_only_error
    assert 0.3 < found.ranks.low < found.ranks.mean < found.ranks.high <= 1


def test_where_the_count_alone_predicts_as_well_it_is_the_model():
    for seed in range(6):
        measured = drawn(seed, class_sd=0.0)[1]
        found = backtest(measured)
        if found.count_alone:
            break
    assert found.count_alone and found.terms == ("count",)
    assert "number of novel classes alone" in found.verdict
    assert found.all.error == found.all.count_only_error and found.novel.error == found.novel.count_only_error
    one = measured.sets[3]
    count = fit_roles(measured.unrelated_to(one), ("count",), choose=False)
    names = [name for name, chosen in zip(measured.classes, one.novel, strict=True) if chosen]
    assert found.rows[3].expected == pytest.approx(count.expect(names).all.expected)


def test_the_noise_floor_is_of_role_sets_with_two_seeds():
    _, measured = drawn()
    found = backtest(measured)
    pairs = [one.iou for one in measured.sets if len(one.iou) == 2]
    assert len(pairs) == 4
    assert found.noise_floor == pytest.approx(np.mean([abs(a.mean() - b.mean()) for a, b in pairs]) / np.sqrt(2))
    single = replace(measured, sets=tuple(replace(one, iou=one.iou[:1]) for one in measured.sets))
    assert backtest(single).noise_floor is None and backtest(single).novel_noise_floor is None


def test_nested_role_sets_alone_predict_nothing():
    truth, measured = drawn()
    rng = np.random.default_rng(0)
    order = rng.permutation(21)
    sets = [truth.train(rng, f"n{count}", np.isin(np.arange(21), order[:count])) for count in range(3, 8)]
    with pytest.raises(ConfigError, match="nested"):
        backtest(replace(measured, sets=tuple(sets)))
    some = backtest(replace(measured, sets=(*sets, *measured.sets[:1])))
    assert set(some.not_predicted) >= {one.name for one in sets}


def test_one_data_set_from_another_alone():
    _, source = drawn(0, class_sd=0.2)
    _, target = drawn(1, class_sd=0.2)
    found = from_other(source, target, count_alone=False)
    assert len(found.rows) == len(target.sets)
    assert found.novel.error < found.novel.constant_error
    changed = with_iou(target, 0, np.zeros((1, 21)))
    assert from_other(source, changed, count_alone=False).rows[1] == found.rows[1]


def test_classes_of_which_nothing_was_trained_are_predicted_in_shares():
    _, source = drawn(0, class_sd=0.2)
    _, target = drawn(1, class_sd=0.2)
    found = in_other_shares(source, target, count_alone=True)
    whole = np.nanmean(target.oracle)
    for row, trained in zip(found.rows, target.sets, strict=True):
        assert row.measured == pytest.approx(100 * trained.mean_iou.mean() / whole)
        assert 0 < row.low <= row.expected <= row.high <= 100
    # The data set's own IoU is not read: of an easier one just the same is expected.
    easier = replace(target, oracle=target.oracle / 2, sets=tuple(replace(s, iou=s.iou / 2) for s in target.sets))
    same = in_other_shares(source, easier, count_alone=True)
    assert [row.expected for row in same.rows] == pytest.approx([row.expected for row in found.rows])
    assert found.all.error == pytest.approx(same.all.error) and found.all.error < 15


def test_sealed_role_sets_are_predicted_from_the_open_ones():
    truth, measured = drawn(class_sd=1.2)
    rng = np.random.default_rng(7)
    sealed = replace(measured, sets=tuple(truth.train(rng, f"x{i}", random_novel(rng, 21)) for i in range(3)))
    found = of_sealed(measured, sealed, count_alone=False)
    assert [row.name for row in found.rows] == ["x0", "x1", "x2"]
    names = [name for name, chosen in zip(measured.classes, sealed.sets[0].novel, strict=True) if chosen]
    expected = fit_roles(measured.unrelated_to(sealed.sets[0])).expect(names)
    assert found.rows[0].expected == expected.all.expected
    count = of_sealed(measured, sealed, count_alone=True)
    assert count.all.error == count.all.count_only_error == found.all.count_only_error
