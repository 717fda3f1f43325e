"""`train`, `tune`, `benchmark` and `generate-listops`."""

import dataclasses
import json
import sys
import types

import keras
import numpy as np
import pytest

from keras_twa.cli import main
from keras_twa.datasets import listops
from keras_twa.experiments import benchmark
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.results import Result
from keras_twa.tasks import load
from keras_twa.tasks.listops import LISTOPS
from tests.experiments.test_cli import error_of

SMALL = ("--length", "6", "--batch", "2", "--heads", "2", "--dim", "4")
ROWS = ("--num-train", "30", "--num-validation", "4", "--num-test", "5")


@pytest.mark.full
def test_train_saves_the_model_that_was_tested(tiny_quick, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["train", "--task", "listops", "--attention", "linear"]
    arguments += ["--output", str(output), "--seed", "3"]
    # Out of time before it begins: nothing to save.
    assert main([*arguments, "--time-limit", "1e-9", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] is None
    assert not (output / "model.keras").exists()
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "epoch 1/1" in text
    assert "root operator" in text
    assert f"Model: {output / 'model.keras'}" in text
    # Again: nothing is left to train.
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    result = found["result"]
    assert (result["status"], result["starts"]) == ("completed", 1)
    assert (result["experiment"]["attention"], result["experiment"]["seed"]) == (
        "linear",
        3,
    )
    data = load("listops", "auto", LISTOPS.presets["quick"])
    model = keras.saving.load_model(found["model"])
    right = rows = 0.0
    for tokens, labels, weights in data.evaluation_batches("test", 16).epoch():
        classes = np.argmax(model.predict_on_batch(tokens), axis=-1)
        right, rows = (
            right + ((classes == labels) * weights).sum(),
            rows + weights.sum(),
        )
    assert right / rows == pytest.approx(result["test"]["accuracy"])
    # Its model would take the place of this one.
    arguments[4] = "local"
    assert "linear-seed3" in error_of(capsys, *arguments)


def test_a_failed_training_is_code_1(tiny_quick, monkeypatch, tmp_path, capsys):
    def fail(comparison, view, time_limit, workers):
        return [Result(comparison.experiments[0], status="failed", reason="no room")]

    monkeypatch.setattr(Comparison, "run", fail)
    arguments = ["train", "--task", "listops", "--output", str(tmp_path / "out")]
    assert main([*arguments, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["result"]["reason"] == "no room"
    assert found["model"] is None


def test_bad_input_of_train_is_one_line(tmp_path, capsys):
    train = ("train", "--task", "listops", "--output", str(tmp_path / "out"))
    for wrong, hint in (
        (("--attention", "liner"), "Did you mean 'linear'"),
        (("--preset", "quik"), "Did you mean 'quick'"),
        (("--seed", "-1"), "seed=-1"),
        (("--time-limit", "0"), "time_limit=0"),
    ):
        assert hint in error_of(capsys, *train, *wrong)
    assert not (tmp_path / "out").exists()


@dataclasses.dataclass
class Search:
    """What stands in the place of the tuner's result."""

    trials: list
    best: dict
    default: dict
    directory: str = "there"
    complete: bool = False

    def to_json(self):
        return dataclasses.asdict(self)


def trial(name, score):
    return {
        "id": name,
        "status": "failed" if score is None else "completed",
        "hyperparameters": {"attention": "linear"},
        "score": score,
        "seconds": 2.0,
        "message": "no room",
    }


@pytest.fixture
def searches(monkeypatch):
    """Puts a search in the place of the tuner, and returns what it was asked."""
    asked = []

    def search(task, view, **options):
        # The command describes all of it by an experiment.
        assert isinstance(task, Experiment)
        asked.append({"task": task, **options})
        for found in (trial("default", 0.25), trial("0", 0.5), trial("1", None)):
            hyperparameters = found["hyperparameters"]
            start = {"epochs": 2, "hyperparameters": hyperparameters}
            view({"event": "start", "trial": found["id"], **start})
            place = {"epoch": 2, "batch": 1, "batches": 3}
            view({"event": "batch", "trial": found["id"], **place})
            view({"event": "epoch", "trial": found["id"], "val_accuracy": 0.5})
            view({"event": "end", "trial": found["id"], "result": found})
        trials = [trial("0", 0.5), trial("1", None)]
        return Search(trials, trial("0", 0.5), trial("default", 0.25))

    module = types.ModuleType("keras_twa.tuner")
    module.search = search
    module.tuning_table = lambda result, width: f"best {result.best['score']}, {width}"
    monkeypatch.setitem(sys.modules, "keras_twa.tuner", module)
    return asked


def test_tune_searches_as_it_is_told(searches, capsys):
    arguments = ["tune", "--task", "listops", "--attention", "linear,local"]
    arguments += ["--algorithm", "bayesian", "--max-trials", "3", "--seed", "2"]
    assert main(arguments) == 1  # one of the trials failed
    text = capsys.readouterr().out
    for line in (
        "default  linear  validation 25.0 %",
        "trial 0  linear  validation 50.0 %",
        "trial 1  linear  failed: no room",
        "best 0.5, 120",
        "the same command continues",
        "Search: there",
    ):
        assert line in text
    assert searches[0]["attentions"] == ["linear", "local"]
    assert (searches[0]["algorithm"], searches[0]["max_trials"]) == ("bayesian", 3)
    experiment = searches[0]["task"]
    assert (experiment.task, experiment.seed) == ("listops", 2)
    assert main([*arguments, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["best"] == found["trials"][0]
    assert found["default"]["score"] == 0.25


def test_an_interrupted_tune_says_how_to_go_on(searches, monkeypatch, capsys):
    def search(task, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["keras_twa.tuner"], "search", search)
    assert main(["tune", "--task", "listops"]) == 130
    backend = keras.backend.backend()
    assert capsys.readouterr().out == (
        f"The results so far are in runs/tune-listops-quick-random-{backend}; "
        "the same command continues from there.\n"
    )


def test_bad_input_of_tune_is_one_line(searches, capsys):
    tune = ("tune", "--task", "listops")
    hint = error_of(capsys, *tune, "--attention", "liner")
    assert "Did you mean 'linear'" in hint
    assert "time_limit=-1" in error_of(capsys, *tune, "--time-limit", "-1")
    assert searches == []


def test_benchmark_times_each_layer(capsys):
    arguments = ["benchmark", "--attention", "dot_product,retention", *SMALL]
    assert main([*arguments, "--repeats", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = [timing["name"] for timing in found["timings"]]
    assert names == [benchmark.KERAS, "dot_product", "retention"]
    for timing in found["timings"]:
        assert len(timing["seconds"]) == 3
        assert min(timing["seconds"]) <= timing["median"] <= max(timing["seconds"])
    keras_layer, ours, retention = found["timings"]
    assert keras_layer["parameters"] == ours["parameters"] == 4 * (8 * 8 + 8)
    assert [ours["causal"], retention["causal"]] == [False, True]
    assert found["environment"]["backend"] == keras.backend.backend()
    assert found["sizes"]["length"] == 6


def test_benchmark_goes_on_after_a_layer_that_fails(monkeypatch, capsys):
    make = benchmark._make_layer

    def broken(name, sizes):
        if name == "linear":
            raise MemoryError("no room\nfor it")
        return make(name, sizes)

    monkeypatch.setattr(benchmark, "_make_layer", broken)
    monkeypatch.setattr(benchmark, "_causal", lambda name, sizes: False)
    arguments = ["benchmark", "--attention", "linear,local", *SMALL, "--repeats", "1"]
    assert main(arguments) == 1
    text = capsys.readouterr().out
    assert "linear: MemoryError: no room" in text
    assert "local" in text
    assert text.count(" ms") >= 4


def test_bad_input_of_benchmark_is_one_line(capsys):
    assert "length=0" in error_of(capsys, "benchmark", "--length", "0")
    hint = error_of(capsys, "benchmark", "--attention", "liner")
    assert "Did you mean 'linear'" in hint


def test_generated_files_are_what_the_preset_trains_on(tmp_path, capsys):
    output = tmp_path / "listops"
    arguments = ["generate-listops", "--output", str(output), "--preset", "quick"]
    arguments += [*ROWS, "--seed", "5"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == {"train": 30, "validation": 4, "test": 5}
    assert sorted(path.name for path in output.iterdir()) == [
        "basic_test.tsv",
        "basic_train.tsv",
        "basic_val.tsv",
    ]
    settings = dataclasses.replace(
        LISTOPS.presets["quick"],
        num_train=30,
        num_validation=4,
        num_test=5,
        data_seed=5,
    )
    want = load("listops", "generated", settings).splits
    got = load("listops", str(output), settings).splits
    for name, (rows, labels) in want.items():
        np.testing.assert_array_equal(got[name][0].padded(), rows.padded())
        np.testing.assert_array_equal(got[name][1], labels)
    # The values are those of the expressions.
    sources, targets = listops.read_tsv(output / "basic_val.tsv")
    assert [listops.evaluate(source) for source in sources] == list(targets)
    # What is there stays, unless it may be replaced.
    before = (output / "basic_val.tsv").read_bytes()
    other_seed = [*arguments[:-1], "6"]
    assert "--force" in error_of(capsys, *other_seed)
    assert (output / "basic_val.tsv").read_bytes() == before
    assert main([*other_seed, "--force"]) == 0
    assert "basic_train.tsv: 30 rows" in capsys.readouterr().out
    assert (output / "basic_val.tsv").read_bytes() != before


def test_interrupted_writing_leaves_nothing(monkeypatch, tmp_path, capsys):
    written = []

    def write_tsv(path, sources, targets):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        path.write_text("")

    monkeypatch.setattr(listops, "write_tsv", write_tsv)
    output = tmp_path / "listops"
    arguments = ["generate-listops", "--output", str(output), "--preset", "quick"]
    assert main([*arguments, *ROWS]) == 130
    assert list(output.iterdir()) == []
    assert "Interrupted" in capsys.readouterr().err


def test_bad_input_of_generate_listops_is_one_line(tmp_path, capsys):
    generate = ("generate-listops", "--output", str(tmp_path / "out"))
    for wrong, hint in (
        (("--num-train", "0"), "num_train=0"),
        (("--seed", "-1"), "data_seed=-1"),
        (("--min-length", "100", "--max-length", "100"), "max_length=100"),
        (("--preset", "quik"), "Did you mean 'quick'"),
    ):
        assert hint in error_of(capsys, *generate, *wrong)
    assert not (tmp_path / "out").exists()


def test_generate_listops_looks_at_its_output_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(listops, "load_sequences", pytest.fail)
    file = tmp_path / "file"
    file.write_text("")
    for output in (file, file / "out"):
        hint = error_of(capsys, "generate-listops", "--output", str(output))
        assert f"Not a folder. Received: {file}" in hint
