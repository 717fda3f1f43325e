"""Discounted sums say when something was, as far as they can."""

import numpy as np

from keras_twa.ops import inverse_laplace

LAGS = (0, 1, 2, 4, 8, 16, 32, 64)


def found(discounts, lags, alpha):
    """Return the estimates at all lags, `(M, M)`, of something at each lag."""
    transform = np.power.outer(np.array(discounts), np.array(lags, float))
    return inverse_laplace(discounts, lags, alpha) @ transform


def test_as_many_discounts_as_lags_tell_the_lags():
    estimates = found((0.1, 0.5, 0.9), (0, 2, 9), 1e-9)
    np.testing.assert_allclose(estimates, np.eye(3), atol=1e-6)


def test_few_discounts_tell_near_from_far():
    estimates = found((0.6, 0.9, 0.99), LAGS, 0.1)
    some = estimates[np.ix_([0, 3, 6], [0, 3, 6])]
    assert (np.diag(some) > 2 * np.abs(some - np.diag(np.diag(some))).max(axis=1)).all()


def test_alpha_makes_estimates_small_and_smooth():
    sizes = [np.linalg.norm(inverse_laplace((0.6, 0.65), LAGS, a)) for a in (0.01, 1.0)]
    assert sizes[0] > 10 * sizes[1]
