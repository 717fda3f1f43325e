"""Which cases a test runs on, and which of them are slow where backends compile."""

import keras
import pytest


def on(cases):
    """Parametrise a test by cases."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


def seldom(cases):
    """Mark cases as slow but on PyTorch: JAX and TensorFlow compile each anew."""
    if keras.backend.backend() == "torch":
        return cases
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow
        )
        for case in cases
    ]
