from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from simformer.costs.regression import fractional_logit, ridge


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 5)), rng.uniform(size=60), rng.uniform(size=(3, 60)) * (rng.uniform(size=(3, 60)) > 0.3)


def test_fractional_logit_is_the_librarys_with_every_row_counted_as_yes_and_no(rows):
    design, target, weights = rows
    found = fractional_logit(design, target, weights, np.full(5, 0.7))
    for one, weight in zip(found, weights, strict=True):
        reference = LogisticRegression(C=1 / 0.7, fit_intercept=False, tol=1e-10, max_iter=1000)
        reference.fit(
            np.concatenate([design, design]),
            np.repeat([1, 0], 60),
            sample_weight=np.concatenate([weight * target, weight * (1 - target)]),
        )
        np.testing.assert_allclose(one, reference.coef_[0], atol=1e-5)


def test_ridge_is_the_librarys(rows):
    design, target, weights = rows
    found = ridge(design, target, weights, np.full(5, 0.7))
    for one, weight in zip(found, weights, strict=True):
        reference = Ridge(0.7, fit_intercept=False).fit(design, target, sample_weight=weight)
        np.testing.assert_allclose(one, reference.coef_, atol=1e-8)


def test_penalties_are_the_features_own():
    design = np.array([[1.0, 0.0], [1.0, 1.0]])
    target, weights = np.array([0.2, 0.8]), np.ones((1, 2))
    intercept, effect = fractional_logit(design, target, weights, np.array([0.0, 1e6]))[0]
    assert intercept == pytest.approx(0, abs=1e-3) and effect == pytest.approx(0, abs=1e-3)
    free = fractional_logit(design, target, weights, np.zeros(2))[0]
    assert free == pytest.approx([np.log(0.25), 2 * np.log(4)], abs=1e-5)


def test_a_share_of_1_everywhere_is_no_overflow():
    found = fractional_logit(np.ones((4, 1)), np.ones(4), np.ones((2, 4)), np.array([1e-9]))
    assert np.isfinite(found).all() and (found > 5).all()
