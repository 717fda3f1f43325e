"""Forecasts of irregular series: rows, models of about equal size, and baselines."""

import math

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa import tasks
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.run import run
from keras_twa.tasks.irregular_series import unexplained
from keras_twa.tasks.irregular_series_model import UnexplainedVariance
from keras_twa.training import WarmupInverseSquareRoot

TASK = tasks.get("irregular_series")
FEW = {"num_train": 96, "num_validation": 40, "num_test": 50}
SMALL = {**FEW, "embedding_dim": 8, "intermediate_dim": 8, "observations": 6}
SETTINGS = TASK.presets["quick"].changed(**FEW)


@pytest.fixture(scope="module")
def rows():
    return tasks.load("irregular_series", "auto", SETTINGS)


@pytest.mark.once
def test_the_last_step_asks_for_the_forecast(rows):
    inputs, targets, weights = rows.splits["test"]
    assert inputs["values"].shape == (50, 33, 2)
    assert inputs["times"].shape == (50, 33)
    assert (targets.shape, weights) == ((50, 1), None)
    assert (inputs["values"][:, -1] == [0, 1]).all()
    assert (inputs["values"][:, :-1, 1] == 0).all()
    assert (np.diff(inputs["times"], axis=1) > 0).all()
    assert rows.counts == {"train": 96, "validation": 40, "test": 50}


@pytest.mark.once
def test_data_is_generated():
    assert tasks.load("irregular_series", "generated", SETTINGS).data == "generated"
    with pytest.raises(ValueError, match="Received: data='GunPoint'"):
        tasks.load("irregular_series", "GunPoint", SETTINGS)


@pytest.mark.once
def test_baselines_are_ordered_by_what_they_know(rows):
    found = TASK.baselines(rows)
    assert list(found) == list(TASK.explanations)
    assert found["mean"] == pytest.approx(1.0, abs=0.1)
    assert found["best possible"] < min(found["mean"], found["last value"]) / 2


def test_the_metric_is_the_unexplained_share_of_the_variance():
    rng = np.random.default_rng(0)
    targets = rng.normal(3.0, 2.0, (50, 1)).astype("float32")
    forecasts = targets + rng.normal(size=(50, 1)).astype("float32")
    metric = UnexplainedVariance(name="x")
    for part in (slice(20), slice(20, None)):
        metric.update_state(targets[part], forecasts[part])
    assert float(metric.result()) == pytest.approx(
        unexplained(forecasts, targets), 1e-4
    )


@pytest.mark.once
def test_the_learning_rate_is_that_of_the_original_transformer():
    from keras_twa.experiments.schedule import LearningRate

    settings = TASK.presets["quick"]
    ours = LearningRate(
        settings.learning_rate, settings.warmup_steps, settings.schedule, 512
    )
    want = WarmupInverseSquareRoot(3e-3, 100)
    for step in (0, 50, 99, 100, 511):
        assert float(ours(step)) == pytest.approx(float(want(step)), 1e-5)
    assert (settings.weight_decay, settings.clipnorm) == (0, 1)


@pytest.mark.full
@pytest.mark.parametrize("width", [32, 64])
def test_models_have_about_as_many_weights(width, rows):
    settings = SETTINGS.changed(embedding_dim=width, intermediate_dim=2 * width)
    names = [*layers.mechanisms(), *TASK.models]
    counts = {}
    for name in names:
        model = TASK.build(name, settings, rows)
        counts[name] = sum(math.prod(v.shape) for v in model.trainable_variables)
        keras.backend.clear_session()
    assert max(counts.values()) < 1.12 * min(counts.values()), counts


def test_only_the_model_of_steps_ignores_times(rows):
    inputs = {name: x[:3] for name, x in rows.splits["test"][0].items()}
    later = {**inputs, "times": inputs["times"] * 1.5}
    for name, ignores in {
        "dot_product_steps": True,
        "dot_product": False,
        "gru": False,
        "[temporal_weighted(time_scale=10.0), multi_timescale]": False,
    }.items():
        model = TASK.build(name, SETTINGS, rows)
        assert model.output_shape == (None, 1)
        found = [model.predict(x, verbose=0) for x in (inputs, later)]
        assert np.allclose(*found, atol=1e-6) == ignores, name


def test_options_of_a_mechanism_have_an_effect(rows):
    model = TASK.build("temporal_weighted(initial_offset=0.5)", SETTINGS, rows)
    blocks = [x for x in model.layers if isinstance(x, layers.TransformerEncoder)]
    assert [block.attention_layer.initial_offset for block in blocks] == [0.5, 0.5]
    model = TASK.build("retention", SETTINGS, rows)
    blocks = [x for x in model.layers if isinstance(x, layers.TransformerEncoder)]
    assert [block.attention_layer.key_dim for block in blocks] == [12, 12]


@pytest.mark.parametrize("attention", ["dot_product", "gru"])
def test_it_runs(attention, tmp_path):
    name, preset = "irregular_series", "quick"
    experiment = Experiment.from_preset(name, preset, attention, **SMALL, epochs=2)
    result = run(experiment, tmp_path)
    assert result.status == "completed", result.reason
    scores = [point["validation_unexplained_variance"] for point in result.curve]
    assert result.best_epoch == 1 + int(np.argmin(scores))
    assert 0 < result.score < math.inf
