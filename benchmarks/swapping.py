"""Times `keras_twa.swap_attention` on models of many blocks.

    KERAS_BACKEND=jax python benchmarks/swapping.py

Each row is the median of `--repeats` exchanges in one process, after a first one, which
also imports and compiles what later ones have at hand: the initializers of each shape,
for example. It is printed too. An exchanged model is called only after that, so its own
compilation is not part of any time. The last column is the largest change of its
outputs for random tokens, in percent of the largest output.
"""

import argparse
import statistics
import time

import keras
import numpy as np

import keras_twa


def functional(blocks, width, heads):
    """A classifier whose blocks are functional layers of Keras."""
    layers = keras.layers
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(1000, width)(tokens)
    for _ in range(blocks):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(heads, width // heads)(y, y)])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(width)(layers.Dense(4 * width, "gelu")(y))
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, layers.Dense(10)(x))


class Block(keras.layers.Layer):
    """A block that holds its attention."""

    def __init__(self, width, heads, **kwargs):
        super().__init__(**kwargs)
        self.norms = [keras.layers.LayerNormalization() for _ in range(2)]
        self.attention = keras.layers.MultiHeadAttention(heads, width // heads)
        self.hidden = keras.layers.Dense(4 * width, "gelu")
        self.out = keras.layers.Dense(width)

    def call(self, x):
        y = self.norms[0](x)
        x = x + self.attention(y, y)
        return x + self.out(self.hidden(self.norms[1](x)))


class Subclassed(keras.Model):
    """A subclassed classifier of such blocks."""

    def __init__(self, blocks, width, heads):
        super().__init__()
        self.embedding = keras.layers.Embedding(1000, width)
        self.blocks = [Block(width, heads) for _ in range(blocks)]
        self.pool = keras.layers.GlobalAveragePooling1D()
        self.head = keras.layers.Dense(10)

    def call(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.pool(x))


def subclassed(blocks, width, heads):
    """A subclassed classifier, built."""
    model = Subclassed(blocks, width, heads)
    model(keras.ops.zeros((1, 8), "int32"))
    return model


def seconds(model, attention):
    """The duration of one exchange."""
    start = time.perf_counter()
    keras_twa.swap_attention(model, attention)
    return time.perf_counter() - start


def change(model, attention):
    """The largest change of outputs, in percent of the largest output."""
    tokens = np.random.default_rng(0).integers(0, 1000, size=(8, 64))
    before, after = (
        keras.ops.convert_to_numpy(each(tokens))
        for each in (model, keras_twa.swap_attention(model, attention))
    )
    return 100 * np.abs(after - before).max() / np.abs(before).max()


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{keras.backend.backend()}, {arguments.blocks} blocks")
    keras.utils.set_random_seed(0)
    print("model       to                 first  median   range         change (%)")
    for make in (functional, subclassed):
        model = make(arguments.blocks, arguments.width, arguments.heads)
        for attention in ("dot_product", "temporal_weighted", "retention"):
            first = seconds(model, attention)
            times = [seconds(model, attention) for _ in range(arguments.repeats)]
            median, least, most = statistics.median(times), min(times), max(times)
            print(
                f"{make.__name__:10}  {attention:17}  {first:5.2f}  {median:6.2f}   "
                f"{least:.2f} to {most:.2f}  {change(model, attention):.2g}"
            )


if __name__ == "__main__":
    main()
