"""A label that is no class makes the loss and every metric NaN, never a number."""

import numpy as np
import pytest
from keras import ops

from keras_twa.masks import carry_mask
from keras_twa.testing import harness
from keras_twa.training import MaskedAccuracy
from keras_twa.training import MaskedCrossentropy
from keras_twa.training import Perplexity
from tests.training.batches import CLASSES
from tests.training.batches import batch
from tests.training.batches import model
from tests.training.batches import probabilities
from tests.training.test_masked_crossentropy import gradient

MEASURES = {
    "loss": MaskedCrossentropy,
    "smoothed loss": lambda **options: MaskedCrossentropy(0.1, **options),
    "accuracy": MaskedAccuracy,
    "perplexity": Perplexity,
}
WRONG = {
    "ignored elsewhere": -100,
    "below": -1,
    "one too many": CLASSES,
    "far above": 30_000,
    "another in 32 bits": 2**32 + 1,
    "padding in 32 bits": 2**32,
    "a fraction": 1.5,
    "NaN": float("nan"),
    "infinite": float("inf"),
}
each = pytest.mark.parametrize("measure", MEASURES)


def labels_with(wrong):
    """Return labels of which one is wrong, in the type that this takes, and logits."""
    labels, logits = batch()
    labels = labels.astype("float32" if isinstance(wrong, float) else "int64")
    labels[0, 1] = wrong
    return labels, logits


def value(measure, labels, predictions, weights=None, **options):
    """Return what a new loss or metric says of one batch."""
    return float(MEASURES[measure](**options)(labels, predictions, weights))


@each
@pytest.mark.parametrize("wrong", WRONG)
def test_no_class_is_nan(measure, wrong):
    labels, logits = labels_with(WRONG[wrong])
    assert np.isnan(value(measure, labels, logits))
    assert np.isnan(value(measure, labels, logits, np.full(labels.shape, 0.5)))
    assert np.isnan(value(measure, labels, ops.cast(logits, "float16")))


@pytest.mark.parametrize("measure", ["loss", "smoothed loss", "perplexity"])
def test_no_class_is_nan_of_probabilities(measure):
    labels, logits = labels_with(CLASSES)
    shares = probabilities(logits)
    assert np.isnan(value(measure, labels, shares, from_logits=False))
    shares[:] = np.nan
    found = value(measure, batch()[0], shares, from_logits=False)
    assert np.isnan(found)


@each
def test_no_class_that_is_left_out_counts_nothing(measure):
    labels, logits = batch()
    kept = labels != 0
    kept[0, 1] = False
    want = value(measure, np.where(kept, labels, 0), logits)
    assert np.isfinite(want)
    for wrong in (-100, CLASSES, 2**31 - 1):
        spoiled = np.where(kept, labels, wrong)
        weights = kept.astype("float32")
        assert value(measure, spoiled, logits, weights) == want
        assert value(measure, spoiled, logits, padding_token=wrong) == want
        predictions = ops.convert_to_tensor(logits)
        carry_mask(predictions, ops.convert_to_tensor(kept))
        assert value(measure, spoiled, predictions) == want


@each
def test_whole_numbers_of_any_type_are_labels(measure):
    labels, logits = batch()
    want = value(measure, labels, logits)
    for dtype in ("float32", "float64", "float16", "int64", "uint8", "int16"):
        assert value(measure, labels.astype(dtype), logits) == want
        tensor = ops.convert_to_tensor(labels.astype(dtype))
        assert value(measure, tensor, logits) == want
    assert value(measure, labels.tolist(), logits) == want


@each
@pytest.mark.parametrize("every", [True, False])
def test_predictions_of_nan_are_nan(measure, every):
    labels, logits = batch()
    # In a class that is neither the label nor the largest.
    logits[0, 1, slice(None) if every else labels[0, 1] - 1] = np.nan
    assert np.isnan(value(measure, labels, logits))


@each
def test_nothing_but_padding_is_zero_whatever_its_label(measure):
    labels = np.full((2, 3), -100)
    logits = np.full((2, 3, CLASSES), np.nan, "float32")
    assert value(measure, labels, logits, padding_token=-100) == 0.0


@pytest.mark.parametrize("metric", [MaskedAccuracy, Perplexity])
def test_a_metric_stays_nan_until_it_forgets(metric):
    made = metric()
    made.update_state(*labels_with(-1))
    made.update_state(*batch())
    assert np.isnan(float(made.result()))
    made.reset_state()
    made.update_state(*batch())
    assert np.isfinite(float(made.result()))


def test_gradients_of_no_class_are_nan():
    labels, logits = labels_with(-100)
    _, slope = gradient(MaskedCrossentropy(0.1), labels.astype("int32"), logits)
    assert np.isnan(slope[0, 1]).all()
    assert np.isfinite(slope[1:]).all()


@pytest.mark.parametrize("wrong", [-100, CLASSES])
def test_compiled_too(wrong):
    inputs, _ = batch()
    labels = inputs.copy()
    labels[0, 1] = wrong
    built = model(
        loss=MaskedCrossentropy(),
        weighted_metrics=[MaskedAccuracy(), Perplexity()],
    )
    weights = np.ones(labels.shape, "float32")
    found = built.evaluate(inputs, labels, sample_weight=weights, verbose=0)
    assert np.isnan(found).all() and len(found) == 3
    weights[0, 1] = 0.0
    history = built.fit(inputs, labels, sample_weight=weights, verbose=0).history
    assert np.isfinite([history[name] for name in history]).all()
    built.fit(inputs, labels, verbose=0)
    assert np.isnan(harness.to_numpy(built.weights[-1].value)).any()


@each
@pytest.mark.parametrize("padding", [2**31, -(2**31), 0.0, True])
def test_refuses_padding_that_no_label_can_be(measure, padding):
    with pytest.raises(ValueError, match="Received: padding_token="):
        MEASURES[measure](padding_token=padding)


def test_a_compiled_loss_equals_the_eager_one():
    inputs, _ = batch()
    built = model(loss=MaskedCrossentropy())
    logits = built.predict(inputs, verbose=0)
    want = float(MaskedCrossentropy()(inputs.astype("float32"), logits))
    found = built.evaluate(inputs, inputs.astype("float32"), verbose=0)
    assert found == pytest.approx(want, rel=1e-5)
