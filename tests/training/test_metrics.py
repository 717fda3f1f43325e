"""Accuracy and perplexity equal a loop over all tokens of all batches."""

import keras
import numpy as np
import pytest

from keras_twa.testing import harness
from keras_twa.training import MaskedAccuracy
from keras_twa.training import MaskedCrossentropy
from keras_twa.training import Perplexity
from tests.references import tokens
from tests.training.batches import BAD_WEIGHTS
from tests.training.batches import batch
from tests.training.batches import model
from tests.training.batches import probabilities
from tests.training.batches import some_hidden
from tests.training.batches import weights_of


def perplexity(labels, logits, **masks):
    """Return the exponential of the mean cost."""
    return np.exp(tokens.mean_cost(labels, logits, **masks))


METRICS = {
    MaskedAccuracy: tokens.share_right,
    Perplexity: perplexity,
}
BATCHES = (batch((5, 2, 0)), batch((1,), seed=1), batch((4, 5, 5, 3), seed=2))
both = pytest.mark.parametrize("metric", METRICS)


def together(arrays):
    """Return the labels and the logits of all batches."""
    labels, logits = zip(*arrays, strict=True)
    return np.concatenate(labels), np.concatenate(logits).astype("float64")


@both
@pytest.mark.parametrize("weights", [None, "tokens", "column", "rows"])
def test_batches_are_one_text(metric, weights):
    made, given = metric(), []
    for labels, logits in BATCHES:
        weight = weights_of(weights, labels)
        made.update_state(labels, logits, weight)
        if weight is not None:
            weight = weight.reshape(len(labels), -1) * np.ones(labels.shape)
            given.append(weight)
    weight = np.concatenate(given) if given else None
    want = METRICS[metric](*together(BATCHES), sample_weight=weight)
    harness.assert_close(harness.to_numpy(made.result()), want, "metric", 1e-5)
    assert want > 0


@both
def test_forgets_when_told_to(metric):
    made = metric()
    made.update_state(*BATCHES[0])
    made.reset_state()
    made.update_state(*BATCHES[2])
    want = METRICS[metric](*together(BATCHES[2:]))
    assert float(made.result()) == pytest.approx(want, abs=1e-5)


@both
def test_nothing_counted_is_zero(metric):
    made = metric()
    assert float(made.result()) == 0.0
    labels, logits = batch((0, 0))
    made.update_state(labels, np.full_like(logits, np.nan))
    assert float(made.result()) == 0.0


@both
@pytest.mark.parametrize("how", ["mask", "weights"])
def test_nothing_that_is_hidden_counts(metric, how):
    labels, predictions, weights = some_hidden(how)
    made = metric()
    made.update_state(labels, predictions, weights)
    logits = harness.to_numpy(predictions).astype("float64")
    mask = np.isfinite(logits[..., 0])
    want = METRICS[metric](labels, np.nan_to_num(logits), mask=mask)
    assert float(made.result()) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(("masked", "jit_compile"), [(False, "auto"), (True, False)])
def test_fit_and_evaluate_count_every_token_once(masked, jit_compile):
    labels = together(BATCHES)[0].astype("int32")
    inputs = labels.copy()
    inputs[0, 1] = 0
    weight = weights_of("tokens", labels)
    built = model(
        masked,
        loss=MaskedCrossentropy(),
        weighted_metrics=[metric(name=metric.__name__) for metric in METRICS],
        jit_compile=jit_compile,
    )
    built.optimizer.learning_rate = 0.0
    logits = built.predict(inputs, batch_size=3, verbose=0).astype("float64")
    want = {
        metric.__name__: reference(
            labels, logits, sample_weight=weight, mask=inputs != 0 if masked else None
        )
        for metric, reference in METRICS.items()
    }
    options = {"sample_weight": weight, "batch_size": 3, "verbose": 0}
    found = built.evaluate(inputs, labels, return_dict=True, **options)
    for name, value in want.items():
        harness.assert_close(found[name], value, f"{name} in evaluate", 1e-5)
    if masked:
        # On JAX, Keras hands no masks on to metrics in `fit`.
        return
    history = built.fit(inputs, labels, shuffle=False, epochs=2, **options).history
    for name, value in want.items():
        harness.assert_close(history[name], [value] * 2, f"{name} in fit", 1e-5)


def test_perplexity_of_probabilities():
    labels, logits = BATCHES[0]
    found = Perplexity(from_logits=False)(labels, probabilities(logits))
    assert float(found) == pytest.approx(perplexity(labels, logits), rel=1e-5)


@pytest.mark.parametrize(
    "metric", [MaskedAccuracy(-1, name="mine"), Perplexity(-1, False, "mine")]
)
def test_keeps_its_arguments(metric, tmp_path):
    copy = type(metric).from_config(metric.get_config())
    assert copy.get_config() == metric.get_config()
    built = model(loss="mse", metrics=[metric])
    built.save(tmp_path / "model.keras")
    keras.saving.load_model(tmp_path / "model.keras")
    saved = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert saved.get_config() == metric.get_config()


@both
def test_refuses_what_does_not_fit(metric):
    with pytest.raises(ValueError, match="Received:"):
        metric(padding_token="0")
    _, logits = BATCHES[0]
    with pytest.raises(ValueError, match="Received:"):
        metric().update_state(np.ones((3, 4), "int32"), logits)
    for shape, weights in BAD_WEIGHTS:
        arguments = np.ones(shape, "int32"), np.ones((*shape, 3), "float32")
        with pytest.raises(ValueError, match="Received: sample_weight of shape"):
            metric().update_state(*arguments, np.ones(weights, "float32"))
