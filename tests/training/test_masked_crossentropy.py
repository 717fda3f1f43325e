"""The loss equals a loop over tokens, and padding is in none of it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.complex_step import directional_derivative
from keras_twa.training import MaskedCrossentropy
from tests.references import tokens
from tests.training.batches import BAD_WEIGHTS
from tests.training.batches import batch
from tests.training.batches import model
from tests.training.batches import probabilities
from tests.training.batches import some_hidden
from tests.training.batches import weights_of

WEIGHTS = (None, "tokens", "column", "rows")


class Loss(keras.layers.Layer):
    """The loss as a layer of logits, so that the harness can differentiate it."""

    def __init__(self, loss, labels, sample_weight=None):
        super().__init__()
        self.loss, self.labels, self.sample_weight = loss, labels, sample_weight
        self.cross_attention = True

    def call(self, query):
        return self.loss(self.labels, query, self.sample_weight)[None]


def gradient(loss, labels, logits, sample_weight=None):
    """Return the loss and its gradient by the logits."""
    layer = Loss(loss, labels, sample_weight)
    layer.build(logits.shape)
    run = harness.run_with_gradients(layer, {"query": logits}, np.ones(1))
    return run.output[0], run.inputs["query"]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_equals_the_loop(smoothing, weights):
    labels, logits = batch()
    weight = weights_of(weights, labels)
    loss = MaskedCrossentropy(smoothing)
    value, slope = gradient(loss, labels, logits, weight)

    def reference(arrays):
        return tokens.mean_cost(
            labels, arrays["logits"], smoothing, sample_weight=weight
        )

    exact = {"logits": logits.astype("float64")}
    harness.assert_close(value, reference(exact), "loss", 1e-5)
    rng = np.random.default_rng(4)
    for _ in range(3):
        direction = rng.normal(size=logits.shape)
        want = directional_derivative(reference, exact, "logits", direction)
        harness.assert_close((slope * direction).sum(), want, "gradient", 1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_probabilities_give_the_same(smoothing):
    labels, logits = batch()
    of_logits = MaskedCrossentropy(smoothing)(labels, logits)
    loss = MaskedCrossentropy(smoothing, from_logits=False)
    found = loss(labels, probabilities(logits))
    harness.assert_close(
        harness.to_numpy(found), harness.to_numpy(of_logits), "loss", 1e-5
    )


def test_each_token_counts_the_same():
    labels, logits = batch(lengths=(5, 1))
    loss = MaskedCrossentropy()
    costs = [
        tokens.token_cost(labels[place], logits[place])
        for place in ((0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0))
    ]
    want = np.mean(costs)
    assert float(loss(labels, logits)) == pytest.approx(want, abs=1e-5)
    longer = np.pad(labels, ((0, 0), (0, 4)))
    padded = np.pad(logits, ((0, 0), (0, 4), (0, 0)))
    assert float(loss(longer, padded)) == pytest.approx(want, abs=1e-5)


def test_no_padding_reaches_anything():
    labels, logits = batch()
    spoiled = logits.copy()
    spoiled[labels == 0] = np.nan
    weight = np.where(labels == 0, np.inf, 1.0).astype("float32")
    loss = MaskedCrossentropy(0.1)
    want, slope = gradient(loss, labels, logits)
    value, spoiled_slope = gradient(loss, labels, spoiled, weight)
    harness.assert_close(value, want, "loss", 1e-6)
    harness.assert_close(spoiled_slope, slope, "gradient", 1e-6)
    assert not spoiled_slope[labels == 0].any()
    assert spoiled_slope[labels != 0].any()


@pytest.mark.parametrize("how", ["mask", "weights"])
def test_nothing_that_is_hidden_reaches_the_loss(how):
    labels, predictions, weights = some_hidden(how)
    found = MaskedCrossentropy(0.1)(labels, predictions, weights)
    logits = harness.to_numpy(predictions)
    want = tokens.mean_cost(
        labels, np.nan_to_num(logits), 0.1, mask=np.isfinite(logits[..., 0])
    )
    assert float(found) == pytest.approx(want, abs=1e-5)


def test_a_weight_of_zero_stops_the_gradient():
    labels, logits = batch()
    weight = weights_of("tokens", labels)
    weight[0, :2] = 0.0
    logits[0, 0] = np.nan
    value, slope = gradient(MaskedCrossentropy(), labels, logits, weight)
    assert np.isfinite(value) and np.isfinite(slope).all()
    assert not slope[0, :2].any() and slope[0, 2:].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_nothing_but_padding_costs_nothing(smoothing):
    labels, logits = batch(lengths=(0, 0))
    value, slope = gradient(MaskedCrossentropy(smoothing), labels, logits)
    assert value == 0.0
    assert not slope.any()


def test_padding_may_be_no_class():
    labels, logits = batch()
    minus = np.where(labels == 0, -1, labels)
    found = MaskedCrossentropy(padding_token=-1)(minus, logits)
    want = MaskedCrossentropy()(labels, logits)
    assert float(found) == pytest.approx(float(want), abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_large_logits_stay_finite(smoothing):
    labels, logits = batch()
    value, slope = gradient(MaskedCrossentropy(smoothing), labels, logits * 1e4)
    want = tokens.mean_cost(labels, logits.astype("float64") * 1e4, smoothing)
    harness.assert_close(value, want, "loss", 1e-5)
    assert np.isfinite(slope).all()


def test_half_precision_logits_are_read_in_float32():
    labels, logits = batch()
    half = ops.cast(logits, "bfloat16")
    loss = MaskedCrossentropy(0.1)
    found = loss(labels, half)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    want = loss(labels, ops.cast(half, "float32"))
    assert float(found) == float(want)


@pytest.mark.parametrize("masked", [False, True])
def test_fits_with_and_without_a_carried_mask(masked):
    labels, _ = batch()
    inputs = labels.copy()
    # A step that the mask hides, though its label is real.
    inputs[0, 1] = 0
    built = model(masked, loss=MaskedCrossentropy(0.1))
    logits = built.predict(inputs, verbose=0)
    mask = inputs != 0 if masked else None
    want = tokens.mean_cost(labels, logits.astype("float64"), 0.1, mask=mask)
    found = built.fit(inputs, labels, batch_size=3, verbose=0).history["loss"]
    harness.assert_close(found, [want], "loss", 1e-5)


def test_keeps_its_arguments(tmp_path):
    loss = MaskedCrossentropy(0.2, padding_token=-1, from_logits=False, name="mine")
    built = model(loss=loss)
    built.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == loss.get_config()
    assert loss.get_config()["name"] == "mine"


@pytest.mark.parametrize(
    "arguments",
    [{"label_smoothing": 1.0}, {"label_smoothing": -0.1}, {"padding_token": 0.5}],
)
def test_refuses_bad_arguments(arguments):
    with pytest.raises(ValueError, match="Received:"):
        MaskedCrossentropy(**arguments)


@pytest.mark.parametrize("shape", [(3, 4), (3,), (3, 5, 1)])
def test_refuses_labels_that_do_not_fit(shape):
    _, logits = batch()
    with pytest.raises(ValueError, match="Received:"):
        MaskedCrossentropy()(np.ones(shape, "int32"), logits)


@pytest.mark.parametrize("labels, weights", BAD_WEIGHTS)
def test_refuses_weights_that_do_not_fit(labels, weights):
    arguments = np.ones(labels, "int32"), np.ones((*labels, 3), "float32")
    with pytest.raises(ValueError, match="Received: sample_weight of shape"):
        MaskedCrossentropy()(*arguments, np.ones(weights, "float32"))
