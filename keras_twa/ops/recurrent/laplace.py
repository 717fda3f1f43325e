"""Estimates of when something was added, from sums with several discounts."""

import numpy as np


def inverse_laplace(discounts, lags, alpha):
    """A matrix from discounted sums to estimates of what was added at each lag.

    If `p_m` is added at `lag_m`, the sums are `L p` with `L[n, m] = gamma_n^lag_m`: the
    samples of a Laplace transform. Its singular values fall fast, so a plain inverse
    would mostly amplify noise. Tikhonov regularization, with `L = U diag(s) V^T`,
    replaces each `1 / s` by `s / (s^2 + alpha^2)`, which suppresses weak components.

    Args:
        discounts: The N gammas, in (0, 1).
        lags: M lags.
        alpha: Singular values below this are suppressed.

    Returns:
        NumPy array `(M, N)`.

    Reference:
        [Masset et al., 2025](https://doi.org/10.1038/s41586-025-08929-9)
    """
    transform = np.power.outer(np.array(discounts, float), np.array(lags, float))
    left, values, right = np.linalg.svd(transform, full_matrices=False)
    return (right.T * (values / (values**2 + alpha**2))) @ left.T
