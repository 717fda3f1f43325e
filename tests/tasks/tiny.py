"""Runs of a second on the tasks of the package."""

import keras

from keras_twa.experiments.config import Experiment
from keras_twa.experiments.run import run
from keras_twa.experiments.trained import trained_models
from keras_twa.tasks import get

SIZES = {
    "num_train": 32,
    "num_validation": 8,
    "num_test": 8,
    "num_layers": 1,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 8,
    "batch_size": 16,
    "epochs": 1,
}


def tiny_settings(task, **changes):
    """Return the settings of the preset `quick`, with small sizes."""
    return get(task).presets["quick"].changed(**{**SIZES, **changes})


def trained(task, folder, attention="dot_product", data="auto", **changes):
    """Run in this process; return the result, the rows and the model that was kept.

    The model gives the test values again.
    """
    changes = {**SIZES, **changes}
    experiment = Experiment.from_preset(task, "quick", attention, 0, data, **changes)
    done = run(experiment, folder / experiment.name)
    assert (done.status, done.reason) == ("completed", "")
    ((result, rows, model),) = trained_models(folder)
    assert result == done
    found = get(task)
    model.compile(loss=found.loss(), weighted_metrics=found.metrics())
    inputs, targets, weights = rows.splits["test"]
    again = model.evaluate(
        inputs, targets, sample_weight=weights, verbose=0, return_dict=True
    )
    assert again.keys() == result.test.keys()
    for name, value in result.test.items():
        assert abs(again[name] - value) < 1e-5 * max(1.0, abs(value)), name
    assert keras.backend.backend() == result.environment["backend"]
    return result, rows, model
