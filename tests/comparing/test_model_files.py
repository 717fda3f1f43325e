"""`keras-twa compare --model`: models and rows from files."""

import json

import keras
import numpy as np
import pytest

from keras_twa.cli import main
from keras_twa.comparing.model_files import of_series
from keras_twa.comparing.model_files import read_arrays
from keras_twa.tasks.series_rows import SeriesRows
from tests.comparing import small

FULL = pytest.mark.full


@pytest.fixture
def files(tmp_path):
    """The paths of a model and of rows for it."""
    small.model().save(tmp_path / "model.keras")
    (x, y), (x_test, y_test) = small.rows(60), small.rows(20, 1)
    np.savez(tmp_path / "rows.npz", x=x, y=y, x_test=x_test, y_test=y_test)
    return tmp_path / "model.keras", tmp_path / "rows.npz"


def command(model, data, *more):
    return ["compare", "--model", str(model), "--data", str(data), *more]


@FULL
def test_a_model_in_a_file_is_compared(files, tmp_path, capsys):
    more = ["--attention", "local(window=2)", "--epochs", "1", "--json"]
    more += ["--output", str(tmp_path / "out"), "--batch-size", "16"]
    assert main(command(*files, *more)) == 0
    found = json.loads(capsys.readouterr().out)
    attentions = [run["experiment"]["attention"] for run in found["results"]]
    assert sorted(attentions) == ["as_given", "local(window=2)"]
    assert {run["status"] for run in found["results"]} == {"completed"}
    assert found["facts"]["rows"] == {"train": 54, "validation": 6, "test": 20}
    assert "majority" in found["facts"]["baselines"]
    assert (tmp_path / "out" / "report.html").is_file()
    # Nothing is left to do.
    assert main(command(*files, *more)) == 0
    again = json.loads(capsys.readouterr().out)
    assert {run["starts"] for run in again["results"]} == {1}


@FULL
def test_a_table_goes_into_a_model_in_a_file(tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = ["id,t,a,b,label"]
    for series in range(40):
        label = "xy"[series % 2]
        for t in np.cumsum(rng.uniform(0.1, 2, 5)):
            lines.append(f"{series},{t},{rng.normal()},{rng.normal()},{label}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    values = keras.Input((None, 2), name="values")
    times = keras.Input((None,), name="times")
    x = keras.layers.Concatenate()([values, times[..., None]])
    x = keras.layers.Dense(8)(x)
    x = x + keras.layers.MultiHeadAttention(2, 4)(x, x)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model({"values": values, "times": times}, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.save(tmp_path / "model.keras")
    more = ["--series", "id", "--time", "t", "--target", "label", "--epochs", "1"]
    more += ["--attention", "linear", "--output", str(tmp_path / "out"), "--json"]
    files = tmp_path / "model.keras", tmp_path / "table.csv"
    assert main(command(*files, *more)) == 0
    found = json.loads(capsys.readouterr().out)
    assert {run["status"] for run in found["results"]} == {"completed"}
    assert sum(found["facts"]["rows"].values()) == 40


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--model": "nope.keras"}, "There is no such file. Received: model="),
        ({"--data": "nope.npz"}, "There is no such file. Received: "),
        ({"--model": "bad.keras"}, "The model cannot be loaded"),
        ({"--data": "bad.npz"}, "no .npz file of arrays"),
        ({"--data": "auto"}, "Name a task by --task, or a file"),
        ({"--primary": "foo"}, "Received: primary='foo'"),
        ({"--attention": "gravity"}, "Unknown attention"),
        ({"--preset": "mvp"}, "`--preset` has no effect with --model"),
        ({"--task": "listops"}, "`--task` has no effect with --model"),
        ({"--epochs": "0"}, "Received: epochs=0"),
    ],
)
def test_bad_files_and_options_are_one_line(
    changes, message, files, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("bad.keras", "bad.npz"):
        (tmp_path / name).write_text("nothing")
    before = sorted(path.name for path in tmp_path.iterdir())
    values = {"--model": str(files[0]), "--data": str(files[1]), **changes}
    arguments = [text for pair in values.items() for text in pair]
    assert main(["compare", *arguments, "--output", "out"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("keras-twa: error: ")
    assert message in error
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_options_of_a_model_need_one(capsys):
    assert main(["compare", "--task", "listops", "--primary", "loss"]) == 2
    assert "no effect without --model" in capsys.readouterr().err


@pytest.mark.once
def test_arrays_are_read_by_their_names(tmp_path):
    x, y = np.zeros((4, 2)), np.arange(4)
    path = tmp_path / "rows.npz"
    arrays = {"x/a": x, "x/b": y, "y_train": y, "x_val/a": x, "x_val/b": y, "y_val": y}
    np.savez(path, **arrays, weights=y, **{"x_test/a": x, "x_test/b": y, "y_test": y})
    data = read_arrays(path)
    assert set(data.x) == {"a", "b"}
    np.testing.assert_array_equal(data.y, y)
    np.testing.assert_array_equal(data.sample_weight, y)
    assert set(data.validation_data[0]) == {"a", "b"}
    assert data.test_data[2] is None
    for wrong, message in (
        ({"z": x}, "unknown array.*array 'z'"),
        ({"x_tst": x}, "unknown array.*array 'x_tst'"),
        ({"y": y}, "an array `x` for each split"),
        ({"x": x, "y": y, "y_test": y}, "an array `x` for each split"),
        ({"x": x, "x/a": x}, "stands beside named ones"),
        ({"x": np.array([None])}, "no .npz file of arrays"),
    ):
        np.savez(path, **wrong)
        with pytest.raises(ValueError, match=message):
            read_arrays(path)


@pytest.mark.once
def test_series_become_the_inputs_that_a_model_has():
    def split(count):
        series = [np.full((3, 1), float(row)) for row in range(count)]
        return series, [np.arange(3.0)] * count, np.arange(count) % 2

    names = ("train", "validation", "test")
    rows = SeriesRows.of({name: split(4) for name in names}, ("a", "b"))

    def model(*inputs):
        found = {name: keras.Input((3,), name=name) for name in inputs}
        return keras.Model(found, next(iter(found.values())))

    assert of_series(rows, model("anything")).x.shape == (4, 3, 1)
    assert of_series(rows, model("times")).x.shape == (4, 3)
    assert set(of_series(rows, model("values", "mask")).x) == {"values", "mask"}
    with pytest.raises(ValueError, match="Received: inputs other, values"):
        of_series(rows, model("other", "values"))
