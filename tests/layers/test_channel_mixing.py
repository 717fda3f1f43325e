"""The channel mixing of RWKV, alone and in an encoder block."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import harness
from keras_twa.testing.complex_step import directional_derivative
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask

X = normal(2, 7, 6, seed=1)
MASKS = {
    "none": np.ones((2, 7), bool),
    "right": lengths_mask([7, 4], 7),
    "left": ~lengths_mask([2, 3], 7),
    "holes": random_mask(2, 7, seed=3),
}


def mixing(**options):
    """Return a built layer with random weights."""
    made = layers.ChannelMixing(10, **options)
    made.build(X.shape)
    harness.randomise(made)
    return made


def loop(weights, x, real):
    """Return the output of the layer, computed by its formula step by step."""
    found = np.zeros(x.shape, x.dtype)
    for b in range(x.shape[0]):
        last = np.zeros(x.shape[-1])
        for i in range(x.shape[1]):

            def dense(name, x):
                return x @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0.0)

            gate, key = (
                dense(name, share * x[b, i] + (1 - share) * last)
                for name in ("receptance", "key")
                for share in [weights[f"{name}_shift"]]
            )
            key = np.where(np.real(key) > 0, key, 0.0) ** 2
            found[b, i] = dense("value", key) / (1 + np.exp(-gate))
            last = x[b, i] if real[b, i] else last
    return found


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_equals_its_formula(name, use_bias):
    made, mask = mixing(use_bias=use_bias), MASKS[name]
    # The content of padding must not matter.
    x = np.where(mask[..., None], X, np.nan).astype("float32")
    want = loop(harness.weights_of(made), X.astype("float64"), mask)
    got = harness.to_numpy(made(x, padding_mask=mask))
    harness.assert_close(got[mask], want[mask], "output", 1e-5)


def test_gradients_equal_the_formula():
    class Masked(layers.ChannelMixing):
        """The same layer, with the input name that the harness uses."""

        cross_attention = True

        def call(self, query, **options):
            """Call it."""
            return super().call(query, **options)

    made = Masked(10)
    made.build(X.shape)
    harness.randomise(made)
    mask = MASKS["holes"]
    cotangent = normal(*X.shape, seed=2) * mask[..., None]
    call = {"query": X, "padding_mask": mask}
    got = harness.run_with_gradients(made, call, cotangent).gradients()
    arguments = {**harness.weights_of(made), "query": X.astype("float64")}
    names = {**{name: f"weight {name}" for name in arguments}, "query": "query"}

    def loss(arguments):
        weights = {k: x for k, x in arguments.items() if k != "query"}
        x = arguments["query"].astype("complex128")
        return (loop(weights, x, mask) * cotangent).sum()

    for name, argument in arguments.items():
        direction = normal(*argument.shape, seed=4).astype("float64")
        want = directional_derivative(loss, arguments, name, direction)
        found = (got[names[name]] * direction).sum()
        harness.assert_close(found, want, f"gradient to {name}")


def test_packed_rows_equal_segments():
    made = mixing()
    ids = np.array([[5, 5, 5, 2, 5, 5, 0], [0, 1, 0, 1, 4, 4, 4]], "int32")
    x = X.copy()
    x[ids == 0] = x[0, :3] = np.nan
    got = harness.to_numpy(made(x, segment_ids=ids))
    for row, steps in ((0, [3]), (0, [4, 5]), (1, [1, 3]), (1, [4, 5, 6])):
        alone = harness.to_numpy(made(x[row : row + 1, steps]))[0]
        harness.assert_close(got[row, steps], alone, f"row {row}, {steps}", 1e-6)


def test_a_masked_step_is_no_step_of_a_segment():
    made = mixing()
    ids = np.array([[1, 1, 1, 2, 2, 2, 2]] * 2, "int32")
    mask = np.array([[1, 0, 1, 0, 1, 1, 1]] * 2, bool)
    got = harness.to_numpy(made(X, padding_mask=mask, segment_ids=ids))
    for steps in ([0, 2], [4, 5, 6]):
        alone = harness.to_numpy(made(X[:, steps]))
        harness.assert_close(got[:, steps], alone, f"steps {steps}", 1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment_ids": np.ones((2, 6), "int32")}, "must have shape"),
        ({"segment_ids": np.ones((2, 7), "float32")}, "must be integers"),
        ({"return_last": True}, "do not support a state"),
        ({"previous": np.zeros((2, 6), "float32")}, "do not support a state"),
    ],
)
def test_refuses_bad_segments(options, message):
    options = {"segment_ids": np.ones((2, 7), "int32"), **options}
    with pytest.raises(ValueError, match=f"{message}.*Received: "):
        mixing()(X, **options)


def test_future_leaves_past():
    made = mixing()
    other = X.copy()
    other[:, 4:] += 1.0
    got, want = (harness.to_numpy(made(x)) for x in (other, X))
    harness.assert_close(got[:, :4], want[:, :4], "output", 1e-6)
    assert np.abs(got[:, 4:] - want[:, 4:]).max() > 1e-3


def test_takes_the_mask_that_rides_on_its_input():
    tokens = np.array([[0, 1, 2, 0, 3], [4, 0, 0, 5, 6]], "int32")
    x = keras.layers.Embedding(9, 6, mask_zero=True)(tokens)
    made = mixing()
    want = made(harness.to_numpy(x), padding_mask=tokens != 0)
    got = harness.to_numpy(made(x))
    harness.assert_close(got, harness.to_numpy(want), "output", 1e-6)


def test_dropout_acts_in_training_only():
    made = mixing(dropout=0.5)
    rest = harness.to_numpy(made(X))
    harness.assert_close(harness.to_numpy(made(X, training=False)), rest, "output")
    assert np.abs(harness.to_numpy(made(X, training=True)) - rest).max() > 1e-2


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_close(dtype):
    exact, half = mixing(), mixing(dtype=dtype)
    harness.copy_weights(exact, half)
    want, got = harness.to_numpy(exact(X)), half(X)
    assert keras.backend.standardize_dtype(got.dtype) == dtype.removeprefix("mixed_")
    assert np.abs(harness.to_numpy(got) - want).max() < 5e-2 * np.abs(want).max()


@pytest.mark.parametrize("version", [4, 7])
def test_a_block_of_rwkv_ignores_padding(version, tmp_path):
    inputs, mask = keras.Input((None, 6)), keras.Input((None,), dtype="bool")
    attention = layers.RWKVAttention(2, 3, version=version)
    block = layers.TransformerEncoder(
        10, 2, attention, feed_forward="channel_mixing", normalize_first=True
    )
    model = keras.Model([inputs, mask], block(inputs, padding_mask=mask))
    harness.randomise(model, scale=0.3)
    short = harness.to_numpy(block(X))
    padded = np.full((2, 10, 6), np.nan, "float32")
    real = np.array([0, 1, 1, 0, 1, 1, 1, 0, 1, 1], bool)
    padded[:, real] = X
    real = np.stack([real, real])
    long = harness.to_numpy(model([padded, real]))
    harness.assert_close(long[real].reshape(short.shape), short, "output", 1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = harness.to_numpy(loaded([padded, real]))
    harness.assert_close(again[real], long[real], "output", 1e-6)
    found = [layer for layer in loaded.layers if hasattr(layer, "feed_forward")]
    assert found[0].get_config()["feed_forward"] == "channel_mixing"


def test_config_round_trips():
    made = layers.ChannelMixing(10, 0.1, "he_normal", "ones", use_bias=False)
    again = layers.ChannelMixing.from_config(made.get_config())
    assert again.get_config() == made.get_config()


def test_refuses_what_does_not_fit():
    for options in ({"intermediate_dim": 0}, {"dropout": 2.0}):
        with pytest.raises(ValueError, match="Received:"):
            layers.ChannelMixing(**{"intermediate_dim": 8, **options})
    with pytest.raises(ValueError, match="Received:"):
        layers.ChannelMixing(8)(X, padding_mask=np.ones((2, 6), bool))
    with pytest.raises(ValueError, match="Received:"):
        layers.TransformerEncoder(8, 2, feed_forward="channel mixing")


@pytest.mark.parametrize("use_bias", [True, False])
def test_outputs_have_the_dtype_of_the_policy(use_bias):
    x = normal(2, 5, 6)
    for dtype in ("float32", "float64", "mixed_bfloat16"):
        made = layers.ChannelMixing(8, use_bias=use_bias, dtype=dtype)
        output = made(x)
        # JAX has no float64 unless it is enabled.
        jax = keras.backend.backend() == "jax"
        wanted = "float32" if jax and dtype == "float64" else made.compute_dtype
        assert keras.backend.standardize_dtype(output.dtype) == wanted
