"""The same weights give the same output on every installed backend.

Each pair of backends is compared once, in the run of the later one.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.contract.all_outputs import all_outputs
from tests.contract.harness import assert_close

BACKENDS = ["jax", "tensorflow", "torch"]
OTHERS = [
    name
    for name in BACKENDS[: BACKENDS.index(keras.backend.backend())]
    if importlib.util.find_spec(name)
]


@pytest.mark.parametrize("backend", OTHERS)
def test_equals_other_backend(backend, tmp_path):
    path = tmp_path / "outputs.npz"
    subprocess.run(
        [sys.executable, "-m", "tests.contract.all_outputs", str(path)],
        cwd=pathlib.Path(__file__).parents[2],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
        timeout=300,
    )
    theirs, ours = np.load(path), all_outputs()
    assert set(theirs.files) == set(ours)
    for name, output in ours.items():
        assert_close(theirs[name], output, f"{name} on {backend}", 2e-5)
