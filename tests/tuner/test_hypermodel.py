"""Models of one size: their widths, their training, what is refused."""

import dataclasses
import math

import keras
import keras_tuner
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.tuner.hypermodel import TOLERANCE
from keras_twa.tuner.hypermodel import AttentionHyperModel
from keras_twa.tuner.space import search_space
from tests.experiments.tiny import tiny_experiment

NAMES = [layers.name_of(layer) for layer in layers.ATTENTION_LAYERS]
# As wide as the preset, for a step of the width to be a small one.
SIZES = {"embedding_dim": 64, "intermediate_dim": 128, "num_layers": 2}


def parameters(hp=None, **values):
    hp = hp or keras_tuner.HyperParameters()
    hp.values.update(values)
    return hp


@pytest.fixture(scope="module")
def wide():
    return AttentionHyperModel(tiny_experiment(**SIZES), NAMES)


@pytest.fixture(scope="module")
def tiny():
    experiment = tiny_experiment(epochs=2, num_train=96, max_buckets=1)
    return AttentionHyperModel(experiment, ["dot_product", "multi_timescale"])


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        *((name, 2) for name in NAMES),
        *((name, depth) for name in ("dot_product", "rwkv") for depth in (1, 3)),
    ],
)
def test_models_have_the_same_size(wide, name, depth):
    hp = parameters(attention=name, num_layers=depth)
    found = wide.configuration(hp)
    assert found.settings.num_layers == depth
    assert math.isclose(wide._count(found), wide.parameters, rel_tol=TOLERANCE)


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "dot_product"},
        {"attention": "local", "local.window": "8"},
        {"attention": "multi_timescale", "multi_timescale.discounts": "(0.9, 0.99)"},
    ],
)
def test_the_options_reach_every_block(wide, options):
    model = wide.build(parameters(**options))
    count = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert math.isclose(count, wide.parameters, rel_tol=TOLERANCE)
    for block in model.blocks:
        layer = block.attention_layer
        assert layers.name_of(type(layer)) == options["attention"]
        if "local.window" in options:
            assert layer.window == 8
        if "multi_timescale.discounts" in options:
            assert layer.timescales.discounts == (0.9, 0.99)
            assert layer.key_dim < 32


def test_the_default_is_the_experiment(wide):
    assert wide.configuration(parameters()) == wide.experiment


def test_a_mechanism_without_options_is_tried_as_it_is(wide):
    assert not search_space("forgetting")
    found = wide.configuration(parameters(attention="forgetting"))
    assert found.attention == "forgetting"


def test_no_width_is_an_error(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "parameters", 10)
    with pytest.raises(ValueError, match=r"No width gives .* Received"):
        tiny.configuration(parameters(attention="dot_product", num_layers=2))


def test_building_keeps_the_policy(tiny):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = tiny.build(parameters())
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert model.dtype_policy.name == "mixed_bfloat16"


class Recorder(keras.callbacks.Callback):
    def __init__(self, stop_after=None):
        super().__init__()
        self.calls = []
        self.stop_after = stop_after

    def on_train_begin(self, logs=None):
        self.calls.append("begin")

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(("batch", batch))

    def on_train_batch_end(self, batch, logs=None):
        assert self.calls[-1] == ("batch", batch)
        self.calls[-1] = ("batch", batch, *sorted(logs))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("epoch", epoch, *sorted(logs)))
        self.model.stop_training = epoch == self.stop_after

    def on_train_end(self, logs=None):
        self.calls.append("end")


def test_fit_forwards_callbacks_and_takes_the_batch_size(tiny):
    hp = parameters(batch_size=32)
    recorder = Recorder()
    found = tiny.fit(hp, tiny.build(hp), callbacks=[recorder])
    steps = len(tiny.data.train_batches(32, 0))
    assert steps < len(tiny.data.train_batches(16, 0))
    batches = [("batch", number, "accuracy", "loss") for number in range(steps)]
    logs = ("accuracy", "loss", "val_accuracy", "val_loss")
    epochs = [[*batches, ("epoch", number, *logs)] for number in range(2)]
    assert recorder.calls == ["begin", *epochs[0], *epochs[1], "end"]
    assert 0 < found["val_accuracy"] <= 1
    assert found["params"] == tiny.parameters
    assert found["seconds"] > 0


def test_training_goes_on_after_earlier_epochs_until_a_callback_ends_it(tiny):
    recorder = Recorder(stop_after=2)
    model = tiny.build(parameters())
    tiny.fit(parameters(), model, callbacks=[recorder], epochs=9, initial_epoch=1)
    assert [call[1] for call in recorder.calls if call[0] == "epoch"] == [1, 2]


def test_models_start_from_the_seed(tiny):
    first, second = (tiny.build(parameters()).get_weights() for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_keras_tuner_takes_it_as_it_is(tiny, tmp_path):
    if keras.backend.backend() == "tensorflow":
        pytest.importorskip("tensorboard", reason="KerasTuner's own way needs it")
    tuner = keras_tuner.RandomSearch(
        AttentionHyperModel(tiny.experiment, ["dot_product"], tiny.data),
        keras_tuner.Objective("val_accuracy", "max"),
        max_trials=1,
        directory=tmp_path,
    )
    tuner.search(epochs=1, verbose=0)
    (trial,) = tuner.oracle.get_best_trials()
    assert trial.score > 0
    assert list(tmp_path.rglob("*.weights.h5"))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Did you mean 'gravitational'"):
        AttentionHyperModel(tiny_experiment(), ["gravitatonal"])
    with pytest.raises(ValueError, match=r"Received: attentions=\[\]"):
        AttentionHyperModel(tiny_experiment(), [])
    with pytest.raises(ValueError, match="Received: pooling='cls'"):
        AttentionHyperModel(tiny_experiment(pooling="cls"), ["retention"])


def test_data_may_be_given(tiny):
    experiment = dataclasses.replace(tiny.experiment, data="nowhere")
    assert AttentionHyperModel(experiment, ["linear"], tiny.data).data is tiny.data
