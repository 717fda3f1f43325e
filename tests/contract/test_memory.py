"""A gradient takes memory linear in the length: no tensor of all pairs."""

import os
import pathlib
import subprocess
import sys

import pytest

from keras_twa.testing.harness import HEADS
from tests.contract.cases import EACH

SHORT, LONG = 2048, 4096


def growth(case, length):
    """Return the growth of peak memory, measured in its own process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.peak_memory", case.id, str(length)],
        cwd=pathlib.Path(__file__).parents[2],
        # Return freed tiles to the system at once. Otherwise, glibc keeps the gaps
        # between them, and the peak measures fragmentation.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        check=True,
        capture_output=True,
        text=True,
        timeout=500,
    )
    return int(done.stdout.split()[-1])


def pairs_in_bytes(case, length):
    """Return the size of one float32 tensor of all pairs."""
    timescales = 3 if "multi_timescale" in case.id else 1
    return length**2 * HEADS * timescales * 4


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.id, marks=[pytest.mark.slow] * (i != 2))
        for i, case in enumerate(EACH)
    ],
)
def test_no_tensor_of_all_pairs(case):
    # The difference cancels the memory of the compiler.
    found = growth(case, LONG) - growth(case, SHORT)
    assert found < 0.5 * (pairs_in_bytes(case, LONG) - pairs_in_bytes(case, SHORT))
