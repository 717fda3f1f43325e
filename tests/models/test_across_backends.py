"""A model saved on one backend generates the same text on another."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

from keras_twa.models import CausalLM
from tests.contract import harness

PROMPTS = [[5, 1, 2, 8], [3]]
OTHERS = [
    name
    for name in ("torch", "jax", "tensorflow")
    if name != keras.backend.backend() and importlib.util.find_spec(name)
]
SCRIPT = f"""
import sys, json, keras
import keras_twa.models
model = keras.saving.load_model(sys.argv[1])
print(json.dumps(model.generate({PROMPTS}, 8)))
"""


@pytest.mark.skipif(not OTHERS, reason="there is no other backend")
def test_generates_the_same_text_on_another_backend(tmp_path):
    model = CausalLM(9, "retention", 1, 8, 2, 10)
    model.build((None, None))
    harness.randomise(model, scale=0.5)
    model.save(tmp_path / "model.keras")
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "model.keras"],
        env={**os.environ, "KERAS_BACKEND": OTHERS[0], "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert theirs == model.generate(PROMPTS, 8)
    assert [len(text) for text in theirs] == [12, 9]
