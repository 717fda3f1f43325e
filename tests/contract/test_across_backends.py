"""The same weights give the same output on another backend."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from keras_twa.testing.harness import assert_close
from tests.backends import next_backend
from tests.contract.all_outputs import all_outputs

OTHER = next_backend()


@pytest.mark.skipif(not OTHER, reason="only one backend is installed")
@pytest.mark.full
def test_equals_another_backend(tmp_path):
    path = tmp_path / "outputs.npz"
    subprocess.run(
        [sys.executable, "-m", "tests.contract.all_outputs", str(path)],
        cwd=pathlib.Path(__file__).parents[2],
        env={**os.environ, "KERAS_BACKEND": OTHER},
        check=True,
        timeout=300,
    )
    theirs, ours = np.load(path), all_outputs()
    assert set(theirs.files) == set(ours)
    for name, output in ours.items():
        assert_close(theirs[name], output, f"{name} on {OTHER}", 2e-5)
