"""The task of series at uneven times."""

import numpy as np
import pytest

from keras_twa import tasks
from keras_twa.datasets import uneven_series
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.run import run

SMALL = {
    "num_train": 64,
    "num_validation": 16,
    "num_test": 32,
    "max_length": 9,
    "embedding_dim": 8,
    "intermediate_dim": 8,
    "num_layers": 1,
    "epochs": 1,
}


@pytest.mark.once
@pytest.mark.parametrize("kind", uneven_series.KINDS)
def test_rows_and_baselines(kind):
    task = tasks.get("uneven_series")
    settings = task.presets["quick"].changed(**SMALL)
    rows = tasks.load("uneven_series", kind, settings)
    assert rows.counts == {"train": 64, "validation": 16, "test": 32}
    test = uneven_series.load_data(kind, 64, 16, 32, 9)[2]
    np.testing.assert_array_equal(rows.splits["test"][1], test.labels)
    np.testing.assert_allclose(rows.splits["test"][0]["times"], test.times, rtol=1e-6)
    assert rows.splits["test"][0]["mask"].all()
    found = task.baselines(rows)
    assert found["solver"] > (0.5 if kind == "swing" else 0.99)
    assert len(rows.classes) == rows.splits["train"][1].max() + 1


@pytest.mark.full
def test_a_mechanism_and_a_gru_learn_on_them(tmp_path):
    for name in ("temporal_weighted", "gru"):
        experiment = Experiment.from_preset(
            "uneven_series", "quick", name, data="recall", **SMALL
        )
        result = run(experiment, tmp_path / name)
        assert result.status == "completed", result.reason


@pytest.mark.once
def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="Received: kind='gun'"):
        tasks.load("uneven_series", "gun", tasks.get("uneven_series").presets["quick"])
