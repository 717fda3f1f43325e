"""Small models and rows for comparisons, as users write them."""

import keras
import numpy as np
from keras import ops

FROM_LOGITS = {"from_logits": True}


def rows(count, seed=0):
    """Series of which one step is marked in the channel of its class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = rng.normal(size=(count, 8, 4)).astype("float32")
    x[np.arange(count), rng.integers(0, 8, count), y] += 4
    return x, y


def model(outputs=3, layer=None, compiled=True):
    """A functional classifier with Keras's own attention."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, 4))
    x = keras.layers.Dense(8)(inputs)
    if layer is not None:
        x = layer(x)
    x = x + keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    made = keras.Model(inputs, keras.layers.Dense(outputs)(x), name="small")
    if compiled:
        made.compile(
            keras.optimizers.Adam(1e-2),
            keras.losses.SparseCategoricalCrossentropy(**FROM_LOGITS),
            metrics=["accuracy"],
        )
    return made


@keras.saving.register_keras_serializable(package="tests_of_compare")
class Scaled(keras.layers.Layer):
    """A layer of the user's."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class Subclassed(keras.Model):
    """A model of the user's, whose layers have no names of their own."""

    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.dense = keras.layers.Dense(width, activation=doubled)
        self.attention = keras.layers.MultiHeadAttention(2, 4)
        self.head = keras.layers.Dense(1)

    def call(self, inputs, training=None):
        x = self.dense(inputs)
        x = x + self.attention(x, x)
        return self.head(ops.mean(x, axis=1))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def doubled(x):
    """An activation of the user's."""
    return 2 * ops.relu(x)


def squared(y_true, y_pred):
    """A loss of the user's."""
    return ops.mean(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred), axis=-1)
