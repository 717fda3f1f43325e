"""Transformer-XL's attention: the content of its memory, and times far from zero."""

from unittest import mock

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.ops.softmax import transformer_xl
from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import timestamps

LENGTH, WIDTH = 11, 6
X = normal(2, LENGTH, WIDTH, seed=1)
CAUSAL = {"use_causal_mask": True}


def layer(memory_length=LENGTH, **options):
    """Return a built layer with random weights."""
    made = layers.TransformerXLAttention(2, 4, memory_length=memory_length, **options)
    made.build(X.shape)
    harness.randomise(made)
    return made


def value(tensor):
    """Return a tensor as NumPy."""
    return harness.to_numpy(tensor)


@pytest.mark.parametrize("held", [1, 3])
def test_a_short_memory_holds_the_last_steps(held):
    made, mask = layer(held), lengths_mask([LENGTH, 6], LENGTH)
    _, state = made(X[:, :4], query_mask=mask[:, :4], return_state=True, **CAUSAL)
    got, state = made(
        X[:, 4:],
        query_mask=mask[:, 4:],
        initial_state=state,
        return_state=True,
        **CAUSAL,
    )
    first = 4 - held
    want = made(X[:, first:], query_mask=mask[:, first:], **CAUSAL)[:, held:]
    assert_close(value(got), value(want), "output", 1e-5)
    assert state["memory"].shape == (2, held, WIDTH)
    # This includes the second row: padding at the end pushes nothing out.
    assert value(state["real"]).all()
    latest = np.stack([X[0, LENGTH - held :], X[1, 6 - held : 6]])
    np.testing.assert_array_equal(value(state["memory"]), latest)


def test_a_memory_is_projected_by_the_weights_of_now():
    made = layer()
    _, state = made(X[:, :4], return_state=True, **CAUSAL)
    harness.randomise(made, seed=2)
    got = made(X[:, 4:], initial_state=state, **CAUSAL)
    assert_close(value(got), value(made(X, **CAUSAL))[:, 4:], "output", 1e-5)


@pytest.mark.parametrize("most_pairs", [0, 2**22])
def test_the_way_of_the_mask_changes_nothing(most_pairs):
    made = layer()
    _, state = made(X[:, :4], return_state=True, **CAUSAL)
    with mock.patch.object(transformer_xl, "MOST_PAIRS", most_pairs):
        got = made(X[:, 4:], initial_state=state, **CAUSAL)
    assert_close(value(got), value(made(X, **CAUSAL))[:, 4:], "output", 1e-5)


def test_only_lags_count():
    made, mask = layer(), ~lengths_mask([2, 0], LENGTH)
    near = np.round(timestamps(2, LENGTH) * 8)
    options = {"query_mask": mask, **CAUSAL}
    outputs = [
        value(made(X, query_positions=times.astype("float32"), **options))
        for times in (near, near + 1e6, near - 1e6)
    ]
    for output in outputs[1:]:
        assert_close(output, outputs[0], "output", 1e-6)
    # A row without real steps has no earliest time.
    none = np.zeros((2, LENGTH), bool)
    harness.assert_finite(
        value(made(X, query_mask=none, query_positions=near)), "output"
    )


def test_turned_channels_give_the_sines_of_lags():
    x = normal(1, 5, 2, 8, seed=3)
    times = ops.convert_to_tensor(100 * timestamps(1, 5))
    other = np.array([[30.0]], "float32")
    turned = value(transformer_xl.turn(ops.convert_to_tensor(x), times))
    waves = transformer_xl.sinusoids(ops.convert_to_tensor(other), 8)
    got = turned @ value(waves)[0, 0]
    lags = (value(times) - other).astype("float64")[..., None]
    rates = 10_000 ** (-np.arange(4) / 4)
    waves = np.concatenate([np.sin(lags * rates), np.cos(lags * rates)], axis=-1)
    want = np.einsum("bthp,btp->bth", x.astype("float64"), waves)
    assert_close(got, want, "inner products", 1e-4)


def test_a_state_in_half_precision_keeps_its_times():
    made = layer(dtype="mixed_bfloat16")
    state = made.initial_state(2)
    assert keras.backend.standardize_dtype(state["memory"].dtype) == "bfloat16"
    state["last"] = ops.full((2,), 1e5, "float32")
    _, state = made(X[:, :2], initial_state=state, return_state=True, **CAUSAL)
    assert value(state["last"]).tolist() == [100_002.0, 100_002.0]
    assert value(state["time"])[0, -2:].tolist() == [-1.0, 0.0]


@pytest.mark.parametrize(
    "options", [{"position_dim": 5}, {"position_dim": 0}, {"memory_length": 0}]
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.TransformerXLAttention(2, 4, **options)


def test_a_state_needs_the_width_of_the_inputs():
    with pytest.raises(ValueError, match="Received:"):
        layers.TransformerXLAttention(2, 4).initial_state(2)
