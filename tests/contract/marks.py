"""Which cases a test runs on, and which of them belong to the full run or are slow."""

import keras
import pytest

from keras_twa.testing.case import Case
from tests.contract.cases import PLAIN

full = pytest.mark.full
IDS = {case.id for case in PLAIN}


def on(cases):
    """Parametrise a test by cases; all but the plain ones belong to the full run."""
    found = [
        pytest.param(case, marks=[] if case.id in IDS else full)
        if isinstance(case, Case)
        else pytest.param(*case.values, marks=[*case.marks, full])
        for case in cases
    ]
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
