"""`keras_twa.compare`: a model and rows of one's own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_twa
from keras_twa import layers
from keras_twa.experiments.results import Result
from tests.comparing import small

FULL = pytest.mark.full
TRAIN, VALIDATION, TEST = (small.rows(n, seed) for seed, n in enumerate((96, 32, 40)))
DATA = {"x": TRAIN[0], "y": TRAIN[1], "validation_data": VALIDATION, "test_data": TEST}
QUIET = {"verbose": 0, "batch_size": 16}


def test_it_compares_reports_and_returns_models(tmp_path, capsys):
    model = small.model()
    before = [np.array(value) for value in model.get_weights()]
    local = layers.LocalAttention(2, 4, window=2)
    comparison = keras_twa.compare(
        model, local, **DATA, epochs=2, **QUIET, output=tmp_path / "out"
    )
    assert capsys.readouterr().out == ""
    # The model itself is not trained.
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    table = comparison.table
    text = layers.text_of(local)
    assert list(table.index) == ["as_given", text, "majority"]
    assert table.columns.name == "accuracy"
    assert list(table["runs"][:2]) == [1, 1]
    assert table["difference"][text] == pytest.approx(
        table["test"][text] - table["test"]["as_given"]
    )
    majority = np.bincount(TRAIN[1]).argmax()
    assert table["test"]["majority"] == pytest.approx(np.mean(TEST[1] == majority))
    # A model is as good as its row says.
    for name in ("as_given", text):
        trained = comparison.model(name)
        found = trained.evaluate(*TEST, verbose=0, return_dict=True)
        assert found["accuracy"] == pytest.approx(table["test"][name], abs=1e-6)
    layer = comparison.model(local).get_layer("attention")
    assert isinstance(layer, layers.LocalAttention)
    assert comparison.best in ("as_given", text)
    report = comparison.report(tmp_path / "report")
    assert "the model as given" in report.read_text("utf-8")
    markdown = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "over as given" in markdown
    assert "| optimizer | `Adam` |" in markdown
    assert "| learning rate | `0.01` |" in markdown
    assert "as_given" in str(comparison)
    assert "<table" in comparison._repr_html_()
    with pytest.raises(ValueError, match=r"no complete run.*attention='linear'"):
        comparison.model("linear")


def test_it_trains_like_fit(tmp_path):
    model = small.model()
    comparison = keras_twa.compare(
        model, "dot_product", **DATA, epochs=3, **QUIET, output=tmp_path / "out"
    )
    model.fit(*TRAIN, batch_size=16, epochs=3, verbose=0)
    # Other orders of the rows, so other numbers; but of the same size.
    found = {run.experiment.attention: run for run in comparison.results}
    loss = model.evaluate(*TRAIN, verbose=0, return_dict=True)["loss"]
    for run in found.values():
        assert run.curve[-1]["train_loss"] == pytest.approx(loss, rel=0.5)
    # Conventional attention is the model as given.
    one, other = (found[name].test["loss"] for name in ("as_given", "dot_product"))
    assert one == pytest.approx(other, rel=1e-3)


@FULL
def test_classes_and_functions_of_the_user_travel(tmp_path):
    keras.utils.set_random_seed(0)
    model = small.Subclassed()
    model.compile("adam", small.squared, metrics=[keras.metrics.R2Score()])
    y = TRAIN[1][:, None].astype("float32")
    comparison = keras_twa.compare(
        model, "temporal_weighted", TRAIN[0], y, epochs=1, **QUIET,
        output=tmp_path / "out", primary="r2_score",
    )  # fmt: skip
    assert {run.status for run in comparison.results} == {"completed"}
    assert comparison.summary.metric.name == "r2_score"
    # The loss is not one of Keras's: nobody knows what a trivial prediction is.
    assert list(comparison.table.index) == ["as_given", "temporal_weighted"]
    assert "held out of the training" in comparison.report().read_text("utf-8")


SCRIPT = """
import sys
import keras, numpy as np
import keras_twa
from keras import ops

@keras.saving.register_keras_serializable("mine")
class Shifted(keras.layers.Layer):
    def call(self, inputs):
        return inputs + 1

def loss(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)

keras.utils.set_random_seed(0)
inputs = keras.Input((5, 4))
x = Shifted()(inputs)
x = x + keras.layers.MultiHeadAttention(2, 4)(x, x)
outputs = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(x))
model = keras.Model(inputs, outputs)
model.compile("adam", loss)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(40, 5, 4)), rng.normal(size=(40, 1))
found = keras_twa.compare(
    model, ["linear"], x.astype("float32"), y.astype("float32"), epochs=2,
    output=sys.argv[1], verbose=1,
)
print(found)
assert type(found.model("linear").layers[1]) is Shifted
"""


@FULL
def test_a_script_without_a_guard_may_define_everything(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    root = str(Path(keras_twa.__file__).parents[1])
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out")]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "linear-seed0" in done.stdout
    assert "Traceback" not in done.stderr


@FULL
def test_it_sweeps_rates_and_continues(tmp_path):
    options = {**DATA, **QUIET, "epochs": 1, "output": tmp_path / "out"}
    rates = (1e-9, 1e-2)
    first = keras_twa.compare(
        small.model(), "linear", **options, learning_rates=rates, time_limit=1e-3
    )
    assert {run.status for run in first.results} <= {"stopped"}
    found = keras_twa.compare(
        small.model(), "linear", **options, learning_rates=rates, seeds=2, workers=2
    )
    runs = [
        (run.experiment.seed, run.experiment.learning_rate)
        for run in found.results
        if run.experiment.attention == "linear"
    ]
    assert sorted(runs) == [(0, 1e-9), (0, 1e-2), (1, 1e-2)]
    assert list(found.table["learning_rate"][:2]) == [1e-2, 1e-2]
    assert list(found.table["runs"][:2]) == [2, 2]
    # Adding a mechanism runs that one only.
    starts = {run.experiment.name: run.starts for run in found.results}
    again = keras_twa.compare(
        small.model(), ["linear", "local(window=2)"], **options, learning_rates=rates,
        seeds=2, workers=2,
    )  # fmt: skip
    for run in again.results:
        assert run.starts == starts.get(run.experiment.name, 1)
    assert len(again.results) == 9
    # Another model in the same folder is refused.
    with pytest.raises(
        ValueError, match=r"another comparison: model .*set_random_seed"
    ):
        keras_twa.compare(other_model(), "linear", **options)


def other_model():
    """The small model with other weights."""
    model = small.model()
    model.set_weights([value + 1 for value in model.get_weights()])
    return model


@FULL
def test_new_weights_differ_by_seed(tmp_path):
    options = {**DATA, **QUIET, "epochs": 1, "seeds": 2, "workers": 2}
    new = keras_twa.compare(
        small.model(), "linear", **options, initial_weights="new", output=tmp_path / "a"
    )
    # The weights have no effect then, so another model is the same comparison.
    keras_twa.compare(
        other_model(), "linear", **options, initial_weights="new", output=tmp_path / "a"
    )
    losses = [run.curve[0]["train_loss"] for run in new.results]
    assert len(set(losses)) == 4
    assert "new values of the weights" in new.report().read_text("utf-8")


@FULL
def test_a_variant_that_diverges_is_reported_and_the_others_go_on(tmp_path):
    model = small.model()
    model.compile(keras.optimizers.SGD(1e30), "mse")
    y = np.zeros((96, 3), "float32")
    y[:, 0] = 1e10
    found = keras_twa.compare(
        model, "linear", TRAIN[0], y, epochs=2, **QUIET, output=tmp_path / "out",
        learning_rates=(1e30, 1e-9),
    )  # fmt: skip
    statuses = {
        (run.experiment.attention, run.experiment.learning_rate): run.status
        for run in found.results
    }
    assert statuses["linear", 1e30] == statuses["as_given", 1e30] == "failed"
    assert statuses["linear", 1e-9] == statuses["as_given", 1e-9] == "completed"
    assert "loss is" in str(found)


@FULL
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_comparison_continues(tmp_path):
    code = (
        "import keras_twa\n"
        "from tests.comparing import small\n"
        f"keras_twa.compare(small.model(), 'linear', *small.rows(96), epochs=400,"
        f" batch_size=4, verbose=0, output={str(tmp_path / 'out')!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    path = tmp_path / "out" / "as_given-seed0" / "result.json"
    wait_for(lambda: path.exists() and Result.load(path).curve, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    epochs = len(Result.load(path).curve)
    assert 0 < epochs < 400
    found = keras_twa.compare(
        small.model(), "linear", *small.rows(96), epochs=400, batch_size=4, verbose=0,
        output=tmp_path / "out", time_limit=1e-3,
    )  # fmt: skip
    (tested,) = found.results
    assert len(tested.curve) >= epochs


def wait_for(condition, process, seconds=300):
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": TRAIN[0][..., :3]}, r"refuses the rows.*Received: a batch of float32"),
        ({"y": TRAIN[1] + 1}, r"integers from 0 to 2.*Received: 3 in the train"),
        ({"y": TRAIN[1] + 0.5}, "must be integers"),
        ({"y": np.zeros(96, int)}, "of one class.*Received: only 0"),
        ({"attention": "gravity"}, "Unknown attention"),
        ({"attention": []}, r"Received: attention=\[\]"),
        ({"attention": "local(windw=2)"}, "Did you mean `window`"),
        ({"attention": ["[linear, local]"]}, "one entry per exchanged layer"),
        ({"seeds": 0}, "Received: seeds=0"),
        ({"seeds": []}, r"Received: seeds=\[\]"),
        ({"epochs": 0}, "Received: epochs=0"),
        ({"epochs": 1.5}, "Received: epochs=1.5"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"patience": 0}, "Received: patience=0"),
        ({"learning_rates": [0]}, "Received: learning_rates"),
        ({"primary": "acc"}, "Received: primary='acc'"),
        ({"where": "nowhere"}, "No attention has a path like"),
        ({"initial_weights": "old"}, "Received: initial_weights='old'"),
        ({"model": 3}, "Received: model=3"),
        ({"model": small.model(compiled=False)}, "must be compiled"),
        ({"workers": 0}, "Received: workers=0"),
        ({"time_limit": 0}, "Received: time_limit=0"),
    ],
)
def test_bad_input_is_refused_before_any_training(changes, message, tmp_path):
    values = {"model": None, "attention": "linear", **DATA, **changes}
    if values["model"] is None:
        values["model"] = small.model()
    options = {**QUIET, **values, "output": tmp_path / "new" / "out"}
    with pytest.raises(ValueError, match=message):
        keras_twa.compare(**options)
    assert list(tmp_path.iterdir()) == []


def test_nan_is_refused_with_its_row(tmp_path):
    x = TRAIN[0].copy()
    x[7, 3, 1] = np.nan
    with pytest.raises(ValueError, match="Received: row 7 of the train inputs"):
        keras_twa.compare(small.model(), "linear", x, TRAIN[1], output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_attention_is_refused(tmp_path):
    inputs = keras.Input((8, 4))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="no attention to exchange"):
        keras_twa.compare(model, "linear", *TRAIN, output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty, and is not a comparison"):
        keras_twa.compare(small.model(), "linear", *TRAIN, output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_all_leaves_out_what_does_not_fit(tmp_path):
    inputs = keras.Input((8, 4))
    mask = np.tril(np.ones((1, 8, 8), bool))
    x = keras.layers.MultiHeadAttention(2, 4)(inputs, inputs, attention_mask=mask)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, outputs)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found = keras_twa.compare(
        model, "all", **DATA, **QUIET, output=tmp_path / "out", time_limit=1e-3
    )
    assert "retention" in found.skipped
    assert "dot_product" not in found.skipped
    caveats = json.loads((tmp_path / "out" / "comparison.json").read_text())["caveats"]
    assert any(each.startswith("retention does not fit") for each in caveats)
