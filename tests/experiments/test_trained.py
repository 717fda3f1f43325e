"""The trained models of a comparison."""

import numpy as np
import pytest

from keras_twa.experiments.config import Experiment
from keras_twa.experiments.run import run
from keras_twa.experiments.stop import StopSignal
from keras_twa.experiments.trained import trained_models
from tests.experiments import own_task

TASK = f"{own_task.__file__}:TASK"


def experiment(attention, epochs):
    return Experiment.from_preset(TASK, "quick", attention, epochs=epochs)


def test_each_completed_run_has_its_model(tmp_path, monkeypatch):
    assert list(trained_models(tmp_path)) == []
    made = [experiment(each, epochs=1) for each in ("local", "retention")]
    done = [run(each, tmp_path / each.name) for each in made]
    other = experiment("dot_product", epochs=3)
    stopped = run(other, tmp_path / other.name, StopSignal(1e-3))
    assert [each.status for each in (*done, stopped)] == [
        "completed",
        "completed",
        "stopped",
    ]
    found = list(trained_models(tmp_path))
    assert [result for result, _, _ in found] == done
    for result, rows, model in found:
        x, y, _ = rows.splits["test"]
        error = np.abs(model.predict(x, verbose=0)[:, 0] - y).mean()
        np.testing.assert_allclose(result.score, error, rtol=1e-5)

    def load(name, data, settings):
        return own_task.load(data, settings.changed(data_seed=1), None)

    monkeypatch.setattr("keras_twa.experiments.trained.load", load)
    with pytest.raises(ValueError, match="other rows"):
        list(trained_models(tmp_path))
