"""Helpers that several checks share."""

import keras
import numpy as np

from keras_twa.testing import harness

SCORES = {"return_attention_scores": True}


def small_tokens(batch=4, length=6):
    """Return token ids with trailing padding (0)."""
    tokens = np.random.default_rng(0).integers(1, 9, size=(batch, length))
    for row, real in enumerate(np.linspace(2, length, batch).astype(int)):
        tokens[row, real:] = 0
    return tokens.astype("int32")


def functional_model(case, length=None, **call):
    """Return a model with embedding, self-attention, pooling and logits."""
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(9, harness.QUERY_WIDTH, mask_zero=True)(tokens)
    x = case.make(name="attention")(x, x, **call)
    flat = len(x.shape) == 3
    pooling = "GlobalAveragePooling1D" if flat else "GlobalAveragePooling2D"
    x = getattr(keras.layers, pooling)()(x)
    return keras.Model(tokens, keras.layers.Dense(3, name="logits")(x))


def randomise_model(model, seed=90):
    """Replace or perturb every trainable weight of a model with random noise."""
    harness.randomise(model, seed, scale=0.3)
