"""Models with Keras's attention, of every kind, and rows for them."""

import keras
import numpy as np
from keras import ops

from keras_twa import layers as ours

L = keras.layers
WORDS, WIDTH, CLASSES = 9, 8, 3
ROWS = np.array([[1, 2, 3, 4, 5], [4, 5, 6, 2, 8], [7, 1, 1, 3, 2], [2, 2, 6, 8, 4]])
PADDED = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 2, 0], [7, 0, 0, 0, 0], [2, 2, 6, 8, 4]])
LABELS = np.arange(4) % CLASSES


def attention(name=None, **options):
    """Return Keras's attention of two heads."""
    return L.MultiHeadAttention(2, 4, name=name, **options)


@keras.saving.register_keras_serializable(package="tests.swapping")
class Block(L.Layer):
    """Holds its attention in an attribute, a list and a dictionary."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = attention("first")
        self.others = [attention("second"), L.Dense(WIDTH)]
        self.by_name = {"third": attention("third")}
        self.norm = L.LayerNormalization()
        self.dropout = L.Dropout(0.1)
        self.supports_masking = True

    def call(self, x, training=None):
        x = x + self.first(x, x, use_causal_mask=True)
        x = x + self.others[1](self.others[0](x, x, training=training))
        x = x + self.by_name["third"](x, x)
        return self.dropout(self.norm(x), training=training)


@keras.saving.register_keras_serializable(package="tests.swapping")
class LateBlock(L.Layer):
    """Creates its attention when it is built."""

    def build(self, shape):
        self.attention = attention("attention")
        self.attention.build(shape, shape)
        self.dense = L.Dense(WIDTH, name="dense")
        self.dense.build(shape)

    def call(self, x):
        return x + self.dense(self.attention(x, x))


@keras.saving.register_keras_serializable(package="tests.swapping")
class Subclassed(keras.Model):
    """A subclassed model with attention of its own and in its blocks."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = L.Embedding(WORDS, WIDTH, mask_zero=True)
        self.blocks = [Block(), LateBlock()]
        self.attention = attention("attention")
        self.pool = L.GlobalAveragePooling1D()
        self.head = L.Dense(CLASSES)

    def call(self, tokens, training=None):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        x = x + self.attention(x, x, training=training)
        return self.head(self.pool(x))


@keras.saving.register_keras_serializable(package="tests.swapping")
class SelfAttention(L.Layer):
    """A layer that may be in a sequential model: it has one argument."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = attention("attention")

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x):
        return x + self.attention(x, x)


def functional():
    """Return a model with an attention that is called twice, and causal ones."""
    tokens = keras.Input((None,), dtype="int32")
    x = L.Embedding(WORDS, WIDTH)(tokens)
    shared = attention("shared")
    for _ in range(2):
        x = L.LayerNormalization()(x + shared(x, x))
    x = Block(name="block")(x)
    y = attention("causal")(x, x, use_causal_mask=True)
    y, scores = attention("scored")(x, y, return_attention_scores=True)
    x = L.GlobalAveragePooling1D()(y) + ops.mean(scores)
    return keras.Model(tokens, L.Dense(CLASSES)(x))


def sequential():
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            L.Embedding(WORDS, WIDTH),
            SelfAttention(name="one"),
            LateBlock(name="two"),
            L.GlobalAveragePooling1D(),
            L.Dense(CLASSES),
        ]
    )


def subclassed():
    model = Subclassed(name="subclassed")
    model(ROWS)
    return model


def nested():
    """Return a model with a functional model and a sequential one as layers."""
    inputs = keras.Input((None, WIDTH))
    inner = keras.Model(inputs, inputs + attention("inner")(inputs, inputs))
    stack = keras.Sequential([keras.Input((None, WIDTH)), SelfAttention(name="deep")])
    tokens = keras.Input((None,), dtype="int32")
    x = stack(inner(L.Embedding(WORDS, WIDTH)(tokens)))
    return keras.Model(tokens, L.Dense(CLASSES)(L.GlobalAveragePooling1D()(x)))


def of_this_package():
    """Return a functional model with blocks of keras_twa."""
    tokens = keras.Input((None,), dtype="int32")
    x = L.Embedding(WORDS, WIDTH, mask_zero=True)(tokens)
    x = ours.TransformerEncoder(8, 2)(x)
    x = ours.TransformerDecoder(8, 2)(x, x)
    return keras.Model(tokens, L.Dense(CLASSES)(x[:, -1]))


KINDS = {
    "functional": functional,
    "sequential": sequential,
    "subclassed": subclassed,
    "nested": nested,
    "of_this_package": of_this_package,
}


def small(**options):
    """Return a functional model with one attention."""
    tokens = keras.Input((None,), dtype="int32")
    x = L.Embedding(WORDS, WIDTH)(tokens)
    x = x + attention("attention", **options)(x, x)
    return keras.Model(tokens, L.Dense(CLASSES)(L.GlobalAveragePooling1D()(x)))


def compiled(model, graph=False):
    """Compile a model, on TensorFlow only with `graph` to a graph: that takes long."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    eagerly = keras.backend.backend() == "tensorflow" and not graph
    model.compile(
        keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], run_eagerly=eagerly
    )
    return model


def fitted(model, rows=ROWS):
    """Compile and fit a model, so that its weights are not the initial ones."""
    compiled(model).fit(rows, LABELS, verbose=0)
    return model


def values(model):
    """Return the values of all weights."""
    return [np.array(ops.convert_to_numpy(x)) for x in model.weights]


def outputs(model, rows=ROWS):
    """Return the outputs as an array. Nothing is compiled for that."""
    return np.array(ops.convert_to_numpy(model(rows, training=False)))
