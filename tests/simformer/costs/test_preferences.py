from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_roles import draw_truth

from simformer.costs.frequency import ClassFrequency
from simformer.costs.preferences import CLOSE, preferences, role_set_cost
from simformer.costs.role_sets import MeasuredSets
from simformer.errors import UnknownClassError

NAMES = tuple(f"c{index:02}" for index in range(21))
EVEN = tuple(ClassFrequency(name=name, share=0.2, instances=1) for name in NAMES)


def drawn(counts, seed=0, **effects):
    """Role sets of so many novel classes each; all classes cost the same."""
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, set_noise=0.0, class_noise=0.0, **effects)
    chosen = [np.isin(np.arange(21), rng.permutation(21)[:count]) for count in counts]
    sets = tuple(truth.train(rng, f"r{index}", novel) for index, novel in enumerate(chosen))
    return MeasuredSets("drawn", "SimFormer+", "drawn", NAMES, truth.oracle, sets, truth.shares)


def test_pairs_are_those_that_cost_about_the_same():
    measured = drawn([4, 4, 4, 6, 8, 12, 12])
    money = [role_set_cost(one, NAMES, EVEN) for one in measured.sets]
    assert money == sorted(money, reverse=True) and money[0] == money[1] > money[3]
    close = [(a, b) for a in range(7) for b in range(a + 1, 7) if money[a] - money[b] < CLOSE * money[a]]
    groups = preferences(measured, EVEN)
    assert 0 < groups[-1].pairs <= len(close) < 21
    assert sum(group.pairs for group in groups[:-1]) == groups[-1].pairs
    for group in groups:
        if group.pairs:
            assert 0 <= group.by_model <= 1 and 0 <= group.by_count <= 1
        else:
            assert group.by_model is None and group.by_count is None


def test_what_classes_tell_chooses_better_than_the_count():
    groups = preferences(drawn([5] * 24, class_sd=1.5), EVEN)
    assert groups[-1].pairs > 200
    # All role sets are of one size: the count alone knows how much FullyOracle's IoU of the novel classes is.
    assert 0.5 < groups[-1].by_count < 0.75 < groups[-1].by_model
    # Large differences are the easier ones.
    assert groups[2].by_model > groups[0].by_model


def test_a_pair_does_not_tell_on_itself():
    # The two of the pair have 5 novel classes each; the others cost far more and less.
    measured = drawn([5, 5, 10, 1, 15], seed=3, class_sd=1.0)
    first, second, *others = measured.sets
    swapped = (replace(first, iou=second.iou), replace(second, iou=first.iou), *others)
    both = (replace(measured, sets=sets) for sets in (measured.sets, swapped))
    before, after = (preferences(one, EVEN, (0.0, np.inf)) for one in both)
    assert before[-1].pairs == after[-1].pairs == 1
    assert before[-1].by_model == 1 - after[-1].by_model and before[-1].by_model in (0, 1)


def test_nested_role_sets_leave_no_pair():
    measured = drawn([5, 5, 5])
    nested = measured.sets[0].novel.copy()
    nested[np.nonzero(nested)[0][0]] = False
    sets = (*measured.sets[:2], replace(measured.sets[0], name="inside", novel=nested))
    assert preferences(replace(measured, sets=sets), EVEN)[-1].pairs == 0


def test_frequencies_of_other_classes():
    with pytest.raises(UnknownClassError):
        preferences(drawn([4, 4, 6]), EVEN[:5])
