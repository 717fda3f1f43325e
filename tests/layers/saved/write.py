"""Writes the files that tests/layers/test_saved_files.py reads.

They were written once, before the layers were restructured, by

    KERAS_BACKEND=torch python tests/layers/saved/write.py

so that files that users saved before still load. Do not write them again unless the
format of saved files is to change. Options whose default has changed have their former
default here, as in the files.
"""

import pathlib

import keras
import numpy as np

from keras_twa import layers
from keras_twa import models

HERE = pathlib.Path(__file__).parent
LENGTH, WIDTH = 6, 8
# The mechanisms that there were then.
MECHANISMS = layers.ATTENTION_LAYERS[:18]


def every_layer():
    """Return a model with one layer of each of them, side by side, and a block."""
    inputs = keras.Input((LENGTH, WIDTH))
    times = keras.Input((LENGTH,))
    found = []
    for layer_class in MECHANISMS:
        former = layer_class.former_defaults
        layer = layer_class(num_heads=2, key_dim=4, seed=1, **former)
        found.append(layer(inputs, query_positions=times))
    former = 'temporal_weighted(weighting="sigmoid")'
    found.append(layers.TransformerEncoder(16, 2, former)(inputs))
    return keras.Model([inputs, times], found)


def language_model():
    """Return a small language model."""
    return models.CausalLM(
        vocabulary_size=11,
        num_layers=1,
        embedding_dim=8,
        num_heads=2,
        intermediate_dim=16,
        attention="gravitational",
    )


def example():
    """Return inputs of both models."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, LENGTH, WIDTH)).astype("float32")
    times = np.cumsum(rng.uniform(0.5, 2.0, size=(2, LENGTH)), axis=1)
    return [x, times.astype("float32")], rng.integers(1, 11, size=(2, LENGTH))


def main():
    """Write both models and their outputs."""
    keras.utils.set_random_seed(1)
    first, second = example()
    layers_model, text_model = every_layer(), language_model()
    outputs = [keras.ops.convert_to_numpy(x) for x in layers_model(first)]
    text = keras.ops.convert_to_numpy(text_model(second))
    layers_model.save(HERE / "every_layer.keras")
    text_model.save(HERE / "language_model.keras")
    names = {f"output_{i}": x for i, x in enumerate(outputs)}
    np.savez_compressed(HERE / "outputs.npz", text=text, **names)


if __name__ == "__main__":
    main()
