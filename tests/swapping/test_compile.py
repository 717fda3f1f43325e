"""The new model is compiled like the old one."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_twa
from tests.swapping import models


def test_settings_and_state_continue():
    model = models.fitted(models.small())
    model.optimizer.learning_rate = 0.05
    swapped = keras_twa.swap_attention(model, "dot_product")
    optimizer = swapped.optimizer
    assert optimizer is not model.optimizer and type(optimizer) is type(model.optimizer)
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.05)
    assert swapped.loss is model.loss
    pairs = list(zip(optimizer.variables, model.optimizer.variables, strict=True))
    by_name = {x.path: ops.convert_to_numpy(x) for _, x in pairs}
    for variable, _ in pairs:
        np.testing.assert_array_equal(
            ops.convert_to_numpy(variable), by_name[variable.path]
        )
    # Both train on as if nothing had happened.
    for each in (model, swapped):
        each.fit(models.ROWS, models.LABELS, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        models.outputs(swapped), models.outputs(model), atol=1e-4
    )
    names = swapped.evaluate(models.ROWS, models.LABELS, verbose=0, return_dict=True)
    assert set(names) == {"loss", "accuracy"}


def test_new_weights_have_no_state():
    model = models.fitted(models.small())
    swapped = keras_twa.swap_attention(model, "dot_product", key_dim=5)
    zeros = {
        x.path.split("/")[-1]: not ops.convert_to_numpy(x).any()
        for x in swapped.optimizer.variables
    }
    assert zeros["attention_query_kernel_momentum"]
    assert not zeros["attention_attention_output_bias_momentum"]
    assert int(ops.convert_to_numpy(swapped.optimizer.iterations)) == 1


def test_functions_of_ones_own_and_metrics():
    def loss(labels, outputs):
        return ops.mean(ops.square(outputs), axis=-1)

    model = models.small()
    metric = keras.metrics.SparseCategoricalAccuracy(name="right")
    model.compile("sgd", loss, metrics=[metric], steps_per_execution=1)
    model.fit(models.ROWS, models.LABELS, verbose=0)
    swapped = keras_twa.swap_attention(model, "temporal_weighted")
    history = swapped.fit(models.ROWS, models.LABELS, verbose=0).history
    assert set(history) == {"loss", "right"}
    assert swapped.loss is loss
    assert metric not in swapped.metrics


def test_a_compile_of_ones_own():
    class Model(models.Subclassed):
        def compile(self, rate):
            super().compile(keras.optimizers.SGD(rate), "mse")

    model = Model()
    model(models.ROWS)
    model.compile(0.1)
    swapped = keras_twa.swap_attention(model, "dot_product")
    assert not swapped.compiled and "`compile` of its own" in str(swapped.swap_report)
    swapped.compile(0.1)


def test_metrics_of_ones_own_have_variables_of_their_own():
    class Model(models.Subclassed):
        def __init__(self):
            super().__init__()
            self.seen = keras.metrics.Sum(name="seen")

        def call(self, tokens, training=None):
            return super().call(tokens, training)

    model = Model()
    model(models.ROWS)
    model.seen.update_state(3.0)
    swapped = keras_twa.swap_attention(model, "dot_product")
    swapped.seen.update_state(1.0)
    assert float(ops.convert_to_numpy(model.seen.result())) == 3
    assert float(ops.convert_to_numpy(swapped.seen.result())) == 4
    assert swapped.seen in swapped.metrics
