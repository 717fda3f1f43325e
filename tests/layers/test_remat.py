"""Gradient checkpointing in blocks: the same numbers, in training only."""

from unittest import mock

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask
from keras_twa.testing.scenarios import timestamps

BATCH, LENGTH, SOURCE_LENGTH, WIDTH = 4, 6, 5, 8
X = {
    "x": normal(BATCH, LENGTH, WIDTH, seed=1),
    "source": normal(BATCH, SOURCE_LENGTH, WIDTH, seed=2),
    "real": random_mask(BATCH, LENGTH, seed=3),
    "times": timestamps(BATCH, LENGTH),
}
# On TensorFlow, XLA takes long and would not test anything else here.
COMPILED = keras.backend.backend() == "jax"
Y = normal(BATCH, LENGTH, WIDTH, seed=4)


class TwoBlocks(keras.Model):
    """A dense layer, an encoder block over the source, and a decoder block."""

    def __init__(self, remat, attention, dtype):
        super().__init__(dtype=dtype)
        options = {"dropout": 0.2, "remat": remat, "dtype": self.dtype_policy}
        own = layers.get(
            attention, num_heads=2, key_dim=4, activity_regularizer="l2", seed=7
        )
        weighted = layers.TemporalWeightedAttention(2, 4, dropout=0.3, seed=8)
        self.before = keras.layers.Dense(WIDTH, dtype=self.dtype_policy)
        self.encoder = layers.TransformerEncoder(12, 2, weighted, **options)
        self.decoder = layers.TransformerDecoder(
            12,
            2,
            own,
            kernel_initializer="he_normal",
            activation="swiglu",
            normalize_first=True,
            **options,
        )
        # `before` and `time_scale` require gradients through inputs, times and the
        # source.
        self.time_scale = self.add_weight((), "ones", name="time_scale")

    def build(self, shapes):
        self.before.build(shapes["source"])
        self.encoder.build(shapes["source"])
        self.decoder.build(shapes["x"], shapes["source"])

    def call(self, inputs, training=None):
        source = self.encoder(self.before(inputs["source"]), training=training)
        return self.decoder(
            inputs["x"],
            source,
            decoder_padding_mask=inputs["real"],
            decoder_positions=inputs["times"] * self.time_scale,
            training=training,
        )


def fitted(remat, attention, dtype):
    """Return a model after two steps, and their losses."""
    keras.utils.set_random_seed(0)
    model = TwoBlocks(remat, attention, dtype)
    model.build({name: x.shape for name, x in X.items()})
    for variable in model.trainable_variables:
        variable.assign(variable + normal(*variable.shape, seed=5, scale=0.1))
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=COMPILED)
    history = model.fit(X, Y, batch_size=2, shuffle=False, verbose=0)
    return model, history.history["loss"]


@pytest.mark.parametrize(
    "attention, dtype, tolerance",
    [("linear", "float32", 1e-5), ("transformer_xl", "mixed_bfloat16", 5e-2)],
)
def test_trains_as_without(attention, dtype, tolerance):
    want, want_losses = fitted(False, attention, dtype)
    got, losses = fitted(True, attention, dtype)
    np.testing.assert_allclose(losses, want_losses, rtol=tolerance)
    # This includes the seeds: both models have drawn equally often.
    for found, expected in zip(got.variables, want.variables, strict=True):
        a, b = (harness.to_numpy(v.value) for v in (found, expected))
        harness.assert_close(a, b, found.path, tolerance)
    assert np.abs(harness.to_numpy(want.time_scale.value) - 1) > 1e-7


def test_computes_again_in_training_only():
    made = layers.TransformerEncoder(12, 2, remat=True)
    made(X["x"])
    with mock.patch.object(keras, "remat", wraps=keras.remat) as remat:
        made(X["x"], training=False)
        made(X["x"], training=True, use_causal_mask=True, return_state=True)
        assert remat.call_count == 0
        made(X["x"], training=True)
        assert remat.call_count == 1
    assert made.get_config()["remat"] is True


def test_keeps_what_its_layers_keep():
    @keras.saving.register_keras_serializable("tests")
    class Counts(layers.TransformerXLAttention):
        """Counts its calls in a variable."""

        def build(self, *shapes, **named):
            super().build(*shapes, **named)
            self.calls = self.add_weight((), "zeros", trainable=False)

        def attend(self, call):
            self.calls.assign(self.calls + 1)
            return super().attend(call)

    # Half precision in a float32 model: in a mixed-precision model, Keras casts
    # differently.
    attention = Counts(2, 4, dtype="mixed_bfloat16")
    made = layers.TransformerEncoder(
        12, 2, attention, remat=True, dtype="mixed_bfloat16"
    )
    model = keras.Sequential([made])
    model.compile("sgd", "mse", jit_compile=COMPILED)
    model.fit(X["x"], Y, batch_size=2, epochs=2, verbose=0)
    assert float(attention.calls.value) == 4
