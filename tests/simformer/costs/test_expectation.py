from __future__ import annotations

import time

import numpy as np
import pytest
from drawn_roles import draw_sets, draw_truth, random_novel

from simformer.costs.carried import carried_over
from simformer.costs.expectation import fit_roles, novel_mask, others_in_photos
from simformer.costs.role_fits import variance_components
from simformer.errors import ConfigError, UnknownClassError


def names_of(measured, novel):
    return [name for name, chosen in zip(measured.classes, novel, strict=True) if chosen]


def drawn(seed=0, number=16, **effects):
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, **effects)
    return truth, draw_sets(rng, truth, number)


def test_known_effects_are_found_again():
    truth, measured = drawn(number=150, together=-0.5, set_noise=0.05, class_noise=0.05)
    model = fit_roles(measured, resampled=0)
    assert model.novel.terms == ("count", "class", "together")
    assert model.novel.together[0] == pytest.approx(-0.5, abs=0.1)
    assert model.novel.count[0] == pytest.approx(-4.0, abs=0.6)
    assert np.corrcoef(model.novel.classes[0], truth.classes)[0, 1] > 0.98
    assert model.base.linear(np.array([[0.3]]), np.zeros((1, 21)))[0].mean() == pytest.approx(2.0, abs=0.5)
    novel = random_novel(np.random.default_rng(9), 21)
    expected = model.class_iou(novel[None])[0, 0]
    np.testing.assert_allclose(expected[novel], (truth.oracle * truth.kept(novel))[novel], atol=4)


def test_a_term_stays_out_where_it_predicts_nothing():
    plain = [fit_roles(drawn(seed, class_sd=0.0, count=0.0)[1], resampled=0).novel.terms for seed in range(12)]
    assert sum(terms == () for terms in plain) >= 4
    assert all("class" in fit_roles(drawn(seed)[1], resampled=0).novel.terms for seed in range(6))


def test_intervals_hold_about_80_percent_of_new_trainings():
    held = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = draw_truth(rng)
        measured = draw_sets(rng, truth)
        model = fit_roles(measured)
        for _ in range(5):
            novel = random_novel(rng, 21)
            found = model.expect(names_of(measured, novel))
            iou = truth.train(rng, "new", novel).mean_iou
            for interval, members in ((found.all, novel | ~novel), (found.novel, novel), (found.base, ~novel)):
                held.append(interval.low <= iou[members].mean() <= interval.high)
            classes = zip(found.classes.values(), iou, strict=True)
            held.append(np.mean([interval.low <= value <= interval.high for interval, value in classes]))
    assert 0.72 < np.mean(held) < 0.88


def test_answers_lie_between_0_and_the_oracle():
    _, measured = drawn()
    model = fit_roles(measured)
    many = np.array([random_novel(np.random.default_rng(seed), 21, 1, 20) for seed in range(50)])
    iou = model.class_iou(many, slice(None))
    assert iou.shape == (201, 50, 21)
    assert (iou >= 0).all() and (iou <= measured.oracle + 1e-9).all()


def test_no_novel_class_is_the_oracle():
    _, measured = drawn()
    found = fit_roles(measured).expect([])
    assert found.all.expected == pytest.approx(measured.oracle.mean())
    assert found.novel is None and "FullyOracle" in found.note and not found.extrapolated


def test_a_trained_role_set_answers_with_its_measurement():
    _, measured = drawn()
    model = fit_roles(measured)
    twice, once = measured.sets[0], measured.sets[10]
    found = model.expect(names_of(measured, twice.novel))
    assert found.trained and "2 seeds" in found.note
    assert found.all.expected == pytest.approx(twice.mean_iou.mean())
    assert found.classes["c03"].expected == pytest.approx(twice.mean_iou[3])
    assert "(one seed)" in model.expect(names_of(measured, once.novel)).note
    # The mean of two seeds is less unsure of a third than one seed of a second.
    other = model.expect(names_of(measured, once.novel))
    assert found.all.high - found.all.low < other.all.high - other.all.low
    assert 0.1 < found.all.high - found.all.low < 3  # seeds differ by 3 points a class


def test_beyond_measured_numbers_of_novel_classes_is_said():
    _, measured = drawn()
    counts = [int(found.novel.sum()) for found in measured.sets]
    model = fit_roles(measured)
    assert model.expect(measured.classes[: max(counts) + 1]).extrapolated
    least, most = min(counts) / len(measured.classes), max(counts) / len(measured.classes)
    note = model.expect(measured.classes[: max(counts) + 1]).note
    assert f"of the classes are novel, in the trainings {least:.0%} to {most:.0%}." in note
    assert not model.expect(measured.classes[: max(counts)]).extrapolated


def test_class_effects_are_shrunken_and_none_where_a_class_was_never_novel():
    _, measured = drawn(number=6)
    never = ~np.any([found.novel for found in measured.sets], axis=0)
    model = fit_roles(measured, ("class",), choose=False)
    assert never.any() and (model.novel.classes[0, never] == 0).all()
    assert (np.abs(model.novel.classes[0, ~never]) > 0).all()


def test_another_data_set_takes_count_and_pairs_alone():
    _, source = drawn(0)
    _, target = drawn(1)
    model = carried_over(fit_roles(source, ("count", "together"), choose=False), target)
    novel = target.sets[0].novel
    found = model.expect(names_of(target, novel))
    assert not found.trained
    fit = model.novel
    logit = fit.intercept[0] + fit.count[0] * novel.mean() + fit.together[0] * others_in_photos(target, novel[None])[0]
    assert found.classes[names_of(target, novel)[0]].expected == pytest.approx(
        (target.oracle / (1 + np.exp(-logit)))[novel][0]
    )


def test_a_fit_takes_less_than_a_second():
    _, measured = drawn()
    fit_roles(measured)
    begun = time.process_time()
    fit_roles(measured)
    assert time.process_time() - begun < 1


def test_what_cannot_be_answered_is_one_sentence():
    _, measured = drawn(number=1)
    with pytest.raises(ConfigError, match="two role sets"):
        fit_roles(measured)
    with pytest.raises(UnknownClassError, match="c0x"):
        novel_mask(("c01", "c02"), ["c0x"])


def test_variance_components():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(400), 5)
    shared, alone = variance_components(rng.normal(size=400)[groups] * 3 + rng.normal(size=2000) * 2, groups)
    assert shared == pytest.approx(9, rel=0.15) and alone == pytest.approx(4, rel=0.15)
    assert variance_components(np.array([1.0, -1.0]), np.array([0, 0]))[0] == 0
