"""A search: its files, its end, how it goes on, what it refuses."""

import dataclasses
import importlib
import importlib.util
import json
import sys
from pathlib import Path

import keras
import keras_tuner
import pytest
import rich.console

from keras_twa.experiments.lock import locked
from keras_twa.tasks import TokenRows
from keras_twa.tasks import listops
from keras_twa.tuner import TuningResult
from keras_twa.tuner import hypermodel
from keras_twa.tuner import search
from keras_twa.tuner import tuning_table
from keras_twa.tuner.search import SEARCH_FILE
from keras_twa.tuner.trials import OutOfTime
from keras_twa.tuner.trials import make_oracle
from tests.experiments.tiny import tiny_experiment
from tests.tuner.tiny import tiny_search

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tune_listops.py"


def plain_classifier(attention, settings, data):
    """No Transformer, for speed: `test_processes` searches with one."""
    return keras.Sequential(
        [
            keras.layers.Embedding(data.vocabulary_size, settings.embedding_dim),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(settings.intermediate_dim, activation="relu"),
            keras.layers.Dense(data.num_classes),
        ]
    )


@pytest.fixture(scope="module", autouse=True)
def plain_models():
    with pytest.MonkeyPatch.context() as patch:
        plain = dataclasses.replace(listops.LISTOPS, build_model=plain_classifier)
        patch.setattr(hypermodel, "get", lambda name: plain)
        yield


class Interrupt:
    """Interrupts a search at the first batch of a trial."""

    def __init__(self, trial):
        self.trial = trial

    def __call__(self, event):
        if event["event"] == "batch" and event["trial"] == self.trial:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A search that was interrupted and went on, and what it read and showed."""
    folder = tmp_path_factory.mktemp("search") / "new"
    with pytest.MonkeyPatch.context() as patch:
        reads, events = [], []
        batches = TokenRows.evaluation_batches

        def read(self, split, batch_size):
            reads.append(split)
            return batches(self, split, batch_size)

        patch.setattr(TokenRows, "evaluation_batches", read)
        with pytest.raises(KeyboardInterrupt):
            tiny_search(folder, view=Interrupt("1"))
        before = TuningResult.load(folder)
        result = tiny_search(folder, view=events.append)
    return before, result, reads, events


def test_every_configuration_is_plain_data(found):
    _, result, _, _ = found
    assert result.complete
    assert TuningResult.load(result.directory) == result
    assert json.loads(json.dumps(result.to_json()))["best"] == result.best
    for one in (result.default, result.best, *result.trials):
        assert one["status"] == "completed"
        assert 0 <= one["score"] <= 1
        assert one["seconds"] > 0
        assert one["parameters"] > 0
        chosen = one["hyperparameters"]
        assert chosen["attention"] in ("dot_product", "local")
        assert {"num_layers", "learning_rate", "batch_size"} < set(chosen)
    assert result.default["hyperparameters"]["attention"] == "dot_product"
    assert result.best["score"] == max(one["score"] for one in result.trials)
    assert set(result.baselines) == {"majority", "root operator"}


def test_the_test_rows_are_read_once_at_the_end(found):
    _, result, reads, _ = found
    # Three trainings, one of which began twice, of one epoch each.
    assert reads == ["validation"] * 3 + ["test"] * 2
    assert [one["id"] for one in result.trials if "test_accuracy" in one] == []
    for one in (result.default, result.best):
        assert 0 <= one["test_accuracy"] <= 1


def test_an_interrupted_search_goes_on(found):
    before, result, _, events = found
    assert not before.complete
    assert [one["id"] for one in before.trials] == ["0"]
    assert before.trials[0] == result.trials[0]
    assert before.default["seconds"] == result.default["seconds"]
    started = [event["trial"] for event in events if event["event"] == "start"]
    assert started == ["1"]
    assert events[-1] == {"event": "end", "trial": "1", "result": result.trials[1]}
    assert {"batch", "epoch"} < {event["event"] for event in events}


def test_a_finished_search_takes_more_trials_only(found, capsys):
    _, result, _, _ = found
    events = []
    again = tiny_search(result.directory, view=events.append)
    assert (again, events) == (result, [])
    more = tiny_search(result.directory, max_trials=3, view=events.append)
    assert more.trials[:2] == result.trials
    assert len(more.trials) == 3
    assert {event["trial"] for event in events} == {"2"}
    assert capsys.readouterr().out == ""


def test_time_runs_out(tmp_path):
    result = tiny_search(tmp_path, time_limit=0.001)
    assert (result.complete, result.trials, result.best) == (False, [], None)
    assert not TuningResult.load(tmp_path).complete


def test_hyperband_goes_on_with_the_better_ones(tmp_path):
    events = []
    result = tiny_search(
        tmp_path, max_trials=4, epochs=3, algorithm="hyperband", view=events.append
    )
    epochs = {}
    for event in events:
        if event["event"] == "epoch" and event["trial"] != "default":
            epochs.setdefault(event["trial"], []).append(event["epoch"])
    assert epochs == {"0": [1], "1": [1], "2": [1], "3": [2, 3]}
    last, first = result.trials[3], result.trials[:3]
    best = max(first, key=lambda trial: trial["score"])
    assert last["hyperparameters"] == best["hyperparameters"]


OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")


class Parabola(keras_tuner.engine.base_tuner.BaseTuner):
    """Trials that cost nothing."""

    def run_trial(self, trial, **options):
        return 1 - (trial.hyperparameters.Float("rate", 0.0, 1.0) - 0.5) ** 2


def test_bayesian_optimization_learns_from_a_third_of_the_trials(tmp_path):
    pytest.importorskip("sklearn")
    oracle = make_oracle("bayesian", 4, 1, 0, OBJECTIVE)
    oracle.hyperparameters.Float("rate", 0.0, 1.0)
    Parabola(oracle, directory=tmp_path, project_name="trials").search(verbose=0)
    assert len(oracle.end_order) == 4
    # The last was chosen by the three before it.
    assert len(oracle.gpr.X_train_) == 3


def test_seed_zero_is_a_seed():
    first, second = (make_oracle("random", 1, 1, 0, OBJECTIVE) for _ in range(2))
    assert first.seed == second.seed


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband"])
def test_a_search_whose_trainings_all_fail_ends(tmp_path, algorithm):
    def view(event):
        if event["event"] == "start":
            raise FloatingPointError("The loss is nan")

    options = {"max_trials": 4, "algorithm": algorithm}
    result = tiny_search(tmp_path, view=view, **options)
    assert len(result.trials) == 4
    for one in (result.default, *result.trials):
        assert (one["status"], one["score"]) == ("failed", None)
        assert one["message"] == "FloatingPointError: The loss is nan"
    assert (result.complete, result.best) == (True, None)
    assert TuningResult.load(tmp_path) == result
    assert tiny_search(tmp_path, **options) == result
    text = shown(result, 120)
    assert text.count("failed") == text.count("The loss is nan") == 5
    assert "trial 3" in text


def test_a_search_goes_on_in_a_folder_of_any_name(tmp_path):
    folder = tmp_path / "search [final] * [/b]"
    first = tiny_search(folder, max_trials=1)
    again = tiny_search(folder, max_trials=2)
    assert again.trials[0] == first.trials[0]
    assert len(again.trials) == 2


def shown(result, width):
    console = rich.console.Console(width=width)
    with console.capture() as capture:
        console.print(tuning_table(result, width))
    return capture.get()


@pytest.mark.parametrize("width", [120, 100, 80, 60, 40])
def test_scores_are_always_in_the_table(tmp_path, width):
    one = {
        "id": "0",
        "hyperparameters": {
            "attention": "gravitational_multi_timescale",
            "options": {"discounts": [0.5, 0.9, 0.99]},
            "num_layers": 12,
            "embedding_dim": 1024,
            "learning_rate": 0.0025,
            "dropout": 0.15,
            "batch_size": 1024,
        },
        "score": 0.5123,
        "test_accuracy": 0.5234,
        "parameters": 12_345_678,
        "seconds": 59_999.0,
    }
    failed = {**one, "id": "1", "score": None, "message": "No [b]room " * 9}
    del failed["test_accuracy"]
    baselines = {"majority": 0.1234}
    result = TuningResult(tmp_path, [one, failed], one, one, baselines)
    text = shown(result, width)
    assert text.count("51.2 %") == text.count("52.3 %") == 2
    assert "12.3 %" in text and "No [b]room" in text
    assert ("12,345,678" in text) == (width == 120)


def test_what_was_tested_is_not_tested_again(tmp_path, monkeypatch):
    tested = []

    def out_of_time(event):
        if event["event"] == "start" and event["trial"] == "1":
            raise OutOfTime

    def test(self, configuration, model):
        tested.append(configuration.attention)
        return 0.5

    monkeypatch.setattr(hypermodel.AttentionHyperModel, "test", test)
    first = tiny_search(tmp_path, view=out_of_time)
    assert (first.complete, first.best["id"], len(tested)) == (False, "0", 2)
    then = tiny_search(tmp_path)
    # The default is not, nor the best if it still is.
    assert len(tested) == 2 + (then.best["id"] == "1")
    tiny_search(tmp_path)
    assert len(tested) == 2 + (then.best["id"] == "1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "randm"}, "Did you mean 'random'"),
        ({"max_trials": 0}, "Received: max_trials=0"),
        ({"max_trials": 1.5}, "Received: max_trials=1.5"),
        ({"time_limit": 0}, "Received: time_limit=0"),
        ({"attentions": ["lokal"]}, "Did you mean 'local'"),
        ({"attentions": []}, "nothing to choose"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path, options, message
):
    with pytest.raises(ValueError, match=message):
        tiny_search(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_a_task_is_looked_up():
    with pytest.raises(ValueError, match="Did you mean 'listops'"):
        search("listop")
    with pytest.raises(ValueError, match="Unknown preset"):
        search("listops", "quik")


def test_another_search_in_the_directory_is_refused(tmp_path, monkeypatch):
    tiny_search(tmp_path, time_limit=0.001)
    before = (tmp_path / SEARCH_FILE).read_bytes()
    with pytest.raises(ValueError, match="epochs is 1 there, 2 here"):
        tiny_search(tmp_path, epochs=2)
    with pytest.raises(ValueError, match="algorithm is 'random' there"):
        tiny_search(tmp_path, algorithm="hyperband")
    with pytest.raises(ValueError, match="attentions is "):
        tiny_search(tmp_path, attentions=["linear"])
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "tuner0")
    with pytest.raises(ValueError, match="attentions is "):
        tiny_search(tmp_path, attentions=["linear"])
    assert (tmp_path / SEARCH_FILE).read_bytes() == before


def test_a_directory_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="is not a search"):
        tiny_search(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(NotADirectoryError, match="Received"):
        tiny_search(tmp_path / "thesis.tex")


def test_two_searches_do_not_share_a_directory(tmp_path):
    with locked(tmp_path), pytest.raises(BlockingIOError, match="Another process"):
        tiny_search(tmp_path)


def test_workers_have_no_time_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(ValueError, match="Received: time_limit=1"):
        tiny_search(tmp_path, time_limit=1)


def test_a_broken_result_is_refused(tmp_path):
    (tmp_path / "result.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="Not the result of a search"):
        TuningResult.load(tmp_path)
    (tmp_path / "result.json").write_text('{"format": 1, "score": 3}')
    with pytest.raises(ValueError, match="`trials` is missing"):
        TuningResult.load(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"best": 3},
        {"best": {"id": "0"}},
        {"default": {}},
        {"trials": None},
        {"trials": [3]},
        {"baselines": {"majority": "high"}},
    ],
)
def test_a_result_of_other_types_is_refused(tmp_path, changes):
    TuningResult(tmp_path).save()
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ValueError, match=r"Received: .* in .*result\.json"):
        TuningResult.load(tmp_path)


def test_a_missing_keras_tuner_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    monkeypatch.delitem(sys.modules, "keras_twa.tuner")
    with pytest.raises(ImportError, match=r"keras-twa\[tuner\]"):
        importlib.import_module("keras_twa.tuner")


def test_the_example_prints_what_it_found(tmp_path, monkeypatch, capsys):
    tiny = tiny_experiment(epochs=1, max_buckets=1).settings
    monkeypatch.setitem(listops.LISTOPS.presets, "quick", tiny)
    spec = importlib.util.spec_from_file_location("tune_listops", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    options = ["--directory", str(tmp_path), "--max-trials", "1"]
    result = example.main([*options, "--attention", "dot_product,local"])
    text = capsys.readouterr().out
    for part in (
        "default",
        "best",
        "majority",
        "root operator",
        "points",
        "validation",
    ):
        assert part in text
    assert tuning_table(result).row_count == 4
    assert keras_tuner.__name__ not in text
