"""Which cases a test runs on, and which of them belong to the full run or are slow."""

import keras
import pytest

from keras_twa.layers import name_of
from keras_twa.testing.case import Case
from tests.contract.cases import PLAIN
from tests.few import MECHANISMS

full = pytest.mark.full
IDS = {case.id for case in PLAIN}


def on(cases):
    """Parametrise a test by cases; all but the plain ones belong to the full run."""
    return _parametrised(cases, lambda case: case.id in IDS)


def on_some(cases):
    """Parametrise by cases; all but those of a few layers belong to the full run."""
    return _parametrised(cases, lambda case: name_of(case.layer) in MECHANISMS)


def _parametrised(cases, always):
    found = []
    for case in cases:
        values, marks = [case], []
        if not isinstance(case, Case):
            values, marks = case.values, case.marks
        marks = [*marks, *([] if always(values[0]) else [full])]
        found.append(pytest.param(*values, marks=marks))
    return pytest.mark.parametrize("case", found, ids=lambda case: case.id)


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
