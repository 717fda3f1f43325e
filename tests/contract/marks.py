"""The cases of a test, and which of them are slow or for the full run."""

import zlib

import keras
import pytest

from keras_twa.layers import name_of
from keras_twa.testing.case import Case
from tests.contract.cases import PLAIN
from tests.few import MECHANISMS

full = pytest.mark.full
IDS = [case.id for case in PLAIN]
TURNS = 9
# CI runs more of them on each backend than other runs do, and all on PyTorch.
TURNS_IN_CI = 3


def on_each(cases):
    """Parametrise a test by cases; all but the plain ones are for the full run."""
    return lambda test: _parametrised(test, cases, lambda case: case.id in IDS)


def on(cases):
    """Parametrise by cases; every run includes each ninth plain case, CI each third.

    The selection depends on the name of the test. So even without the full run, each
    check runs on some layers, and each layer goes through some checks.
    """

    def decorate(test):
        turn = zlib.crc32(test.__name__.encode()) % TURNS
        chosen, in_ci = IDS[turn::TURNS], IDS[turn % TURNS_IN_CI :: TURNS_IN_CI]
        return _parametrised(
            test,
            cases,
            lambda case: case.id in chosen,
            lambda case: case.id in in_ci,
        )

    return decorate


def on_some(cases):
    """Parametrise by cases; all but those of a few layers are for the full run."""
    return lambda test: _parametrised(
        test, cases, lambda case: name_of(case.layer) in MECHANISMS
    )


def _parametrised(test, cases, always, everywhere=lambda case: False):
    found = []
    for case in cases:
        values, marks = [case], []
        if not isinstance(case, Case):
            values, marks = case.values, case.marks
        if not always(values[0]):
            more = [pytest.mark.everywhere] if everywhere(values[0]) else []
            marks = [*marks, full, *more]
        found.append(pytest.param(*values, marks=marks))
    return pytest.mark.parametrize("case", found, ids=lambda case: case.id)(test)


def seldom(cases):
    """Mark cases as slow, except on PyTorch: JAX and TensorFlow compile each anew."""
    if keras.backend.backend() == "torch":
        return cases
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow
        )
        for case in cases
    ]
