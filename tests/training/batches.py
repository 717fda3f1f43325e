"""Small batches of labels and logits for the tests of losses and metrics."""

import keras
import numpy as np

from keras_twa.masks import carry_mask

CLASSES = 7


def batch(lengths=(5, 2, 0), length=5, seed=0):
    """Return labels `(B, T)` padded with 0, and logits `(B, T, CLASSES)`."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, CLASSES, size=(len(lengths), length)).astype("int32")
    labels[np.arange(length) >= np.array(lengths)[:, None]] = 0
    logits = rng.normal(scale=2.0, size=(*labels.shape, CLASSES)).astype("float32")
    return labels, logits


def probabilities(logits):
    """Return the softmax of logits."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def weights_of(kind, labels):
    """Return sample weights of a shape that Keras knows, or `None`."""
    if kind is None:
        return None
    shape = {"tokens": labels.shape, "column": (len(labels), 1), "rows": len(labels)}
    return np.random.default_rng(3).uniform(0.2, 3.0, shape[kind]).astype("float32")


# Of labels `(B, T)` and weights that do not fit.
BAD_WEIGHTS = (
    ((1, 4), (4,)),
    ((4, 4), (4, 4, 1)),
    ((4, 4), (4, 3)),
    ((3, 4), (2, 4)),
    ((3, 4), ()),
)


def some_hidden(how):
    """Return labels, predictions that are NaN where they do not count, and weights.

    Args:
        how: What hides them: a Keras "mask" on the predictions, or "weights" of 0.
    """
    labels, logits = batch()
    counts = np.random.default_rng(6).random(labels.shape) < 0.6
    logits[~counts] = np.nan
    predictions = keras.ops.convert_to_tensor(logits)
    if how == "mask":
        carry_mask(predictions, keras.ops.convert_to_tensor(counts))
        return labels, predictions, None
    return labels, predictions, counts.astype("float32")


def model(masked=False, **compiled):
    """Return a compiled model of tokens: an embedding and logits."""
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(CLASSES, 4, mask_zero=masked)(tokens)
    x = keras.layers.Dense(CLASSES)(x)
    built = keras.Model(tokens, x)
    built.compile("sgd", **compiled)
    return built
