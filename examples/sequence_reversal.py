"""Compares conventional and temporal weighted attention on reversing sequences.

KERAS_BACKEND=jax python examples/sequence_reversal.py

The task is to return each sequence of random symbols in reverse order. The symbol at
each place depends on the position alone: the first output is the last input, the second
output is the one before it. So a model must use positions. With conventional attention,
it gets them only from the embeddings added to its input.

Temporal weighted attention scales each score by a gate, a function of the key's
position for each head. The gates start almost open, where the mechanism nearly equals
the conventional one, and are then learned.
"""

import argparse
import time

import keras_twa  # noqa: F401  # isort: skip  Before Keras: names a missing backend.
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from keras_twa.layers import SinusoidalPositions
from keras_twa.layers import TransformerEncoder

SYMBOLS = 16
LENGTH = 24
BATCH = 64
EPOCHS = 8
ROWS = 4_096


def make_rows(count, seed):
    """Random sequences, and the same sequences reversed."""
    rows = np.random.default_rng(seed).integers(SYMBOLS, size=(count, LENGTH))
    return rows.astype("int32"), rows[:, ::-1].astype("int32").copy()


def build_model(attention):
    """An ordinary functional model; only the name of the attention differs."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = keras.layers.Embedding(SYMBOLS, 64)(inputs)
    x = SinusoidalPositions()(x)
    for _ in range(2):
        x = TransformerEncoder(
            intermediate_dim=128,
            num_heads=4,
            attention=attention,
            normalize_first=True,
        )(x)
    x = keras.layers.LayerNormalization()(x)
    outputs = keras.layers.Dense(SYMBOLS)(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3, clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def main(arguments=None):
    """Trains both models on the same rows, and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    train = make_rows(ROWS, seed=0)
    test = make_rows(1_024, seed=1)
    console = Console(highlight=False, markup=False, emoji=False)
    table = Table(
        "attention",
        "symbols right",
        "sequences right",
        "parameters",
        "seconds",
        title=f"Reversing {LENGTH} symbols, {keras.backend.backend()} backend",
    )
    for attention in ("dot_product", "temporal_weighted"):
        # With the same seed, both models start from the same projections.
        keras.utils.set_random_seed(0)
        model = build_model(attention)
        start = time.perf_counter()
        for epoch in range(EPOCHS):
            history = model.fit(*train, batch_size=BATCH, verbose=0)
            accuracy = history.history["accuracy"][-1]
            console.print(
                f"{attention:18} epoch {epoch + 1}/{EPOCHS}  "
                f"training accuracy {100 * accuracy:5.1f} %"
            )
        seconds = time.perf_counter() - start
        found = model.predict(test[0], batch_size=256, verbose=0).argmax(axis=-1)
        right = found == test[1]
        table.add_row(
            attention,
            f"{100 * right.mean():.1f} %",
            f"{100 * right.all(axis=1).mean():.1f} %",
            f"{model.count_params():,}",
            f"{seconds:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
