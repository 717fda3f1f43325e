"""Models trained and saved on one backend generate the same text on another."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_twa.models import CausalLM
from keras_twa.models import EncoderDecoder
from tests.backends import next_backend

OTHER = next_backend()
TEXT = np.frombuffer(b"to be or not to be, that is the question. " * 4, "uint8")
PROMPTS = [list(b"to be"), list(b"or")]
WORDS = np.array([[1, 2, 3, 4], [4, 2, 1, 3], [3, 3, 2, 1], [2, 4, 3, 0]])
START, END = 5, 6


def texts(folder):
    """What the models that were saved in a folder generate."""
    language_model, translator = (
        keras.saving.load_model(pathlib.Path(folder) / name)
        for name in ("language_model.keras", "translator.keras")
    )
    translated = translator.generate(WORDS, 6, START, END, beam_size=2)
    return {
        "continued": language_model.generate(PROMPTS, 12),
        "translated": translated.tolist(),
    }


def train_language_model():
    """A model that continues a text that it has seen."""
    model = CausalLM(128, "retention", 1, 32, 2, 32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    tokens = TEXT.astype("int32")[None]
    model.fit(tokens[:, :-1], tokens[:, 1:], epochs=12, verbose=0)
    return model


def train_translator():
    """A model that learns to say words in the opposite order."""
    model = EncoderDecoder(
        7, 7, num_layers=1, embedding_dim=16, num_heads=2, intermediate_dim=16
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile(keras.optimizers.Adam(0.02), loss)
    targets = np.full((4, 6), END)
    targets[:, 0], targets[:, 1:5] = START, WORDS[:, ::-1]
    inputs = {"source": WORDS, "target": targets[:, :-1]}
    model.fit(inputs, targets[:, 1:], epochs=12, verbose=0)
    return model


@pytest.mark.full
@pytest.mark.everywhere
@pytest.mark.skipif(not OTHER, reason="only one backend is installed")
def test_trained_models_generate_the_same_text_on_another_backend(tmp_path):
    train_language_model().save(tmp_path / "language_model.keras")
    train_translator().save(tmp_path / "translator.keras")
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.test_across_backends", str(tmp_path)],
        cwd=pathlib.Path(__file__).parents[2],
        env={**os.environ, "KERAS_BACKEND": OTHER},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert theirs == texts(tmp_path)
    assert [len(text) for text in theirs["continued"]] == [17, 14]


if __name__ == "__main__":
    print(json.dumps(texts(sys.argv[1])))
