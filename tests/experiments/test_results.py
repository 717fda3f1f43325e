"""Settings, results and what is computed from them."""

import json
import math

import pytest

from keras_twa import tasks
from keras_twa.experiments.clock import StepClock
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.config import preset_settings
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import estimate
from keras_twa.experiments.results import load_results
from keras_twa.experiments.results import relative_improvement
from keras_twa.tasks.settings import Settings
from tests.experiments.canned_results import canned_result
from tests.experiments.canned_results import write_comparison

pytestmark = pytest.mark.once


def test_an_experiment_comes_back_from_json():
    for task in ("listops", "imdb"):
        for preset in tasks.get(task).presets:
            experiment = Experiment.from_preset(task, preset, "gravitational", 3)
            text = json.dumps(experiment.to_json())
            assert Experiment.from_json(json.loads(text)) == experiment


def test_presets_hold_the_stated_sizes():
    mvp = tasks.get("listops").presets["mvp"]
    assert (mvp.embedding_dim, mvp.num_heads, mvp.num_layers) == (128, 4, 2)
    assert (mvp.intermediate_dim, mvp.dropout, mvp.batch_size) == (512, 0.1, 32)
    assert (mvp.learning_rate, mvp.weight_decay, mvp.clipnorm) == (1e-4, 1e-5, 1.0)
    assert (mvp.epochs, mvp.patience) == (20, 10)
    assert (mvp.num_train, mvp.num_validation, mvp.num_test) == (96_000, 2_000, 2_000)


def test_close_matches_are_named():
    with pytest.raises(ValueError, match=r"'quick'.*Received: preset='quik'"):
        preset_settings("listops", "quik")
    with pytest.raises(ValueError, match=r"'listops'.*Received: task='listop'"):
        preset_settings("listop", "quick")
    with pytest.raises(ValueError, match="'epochs'"):
        preset_settings("listops", "quick", epoch=3)


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"epochs": True},
        {"num_train": -1},
        {"batch_size": 1.5},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"dropout": 1.0},
        {"num_heads": 3},
        {"positions": "spiral"},
        {"pooling": "max"},
        {"schedule": "step"},
        {"weight_decay": -1.0},
        {"max_steps": 0},
    ],
)
def test_bad_settings_are_refused(changes):
    with pytest.raises(ValueError, match="Received:"):
        Settings(**changes)


@pytest.mark.parametrize("seed", [-1, 2**32, "0", True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="seed="):
        Experiment("listops", "gravitational", seed)


def test_a_result_comes_back_from_its_file(tmp_path):
    result = canned_result("gravitational", 1)
    result.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == result


def test_not_a_number_becomes_null(tmp_path):
    result = canned_result("gravitational", 1)
    result.test["loss"] = math.nan
    result.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json").test["loss"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Not a JSON file"),
        ("[1]", "Not a JSON object"),
        ('{"format": 99}', "Not a result of this version"),
        ('{"format": 1}', "Not a complete result"),
        ('{"format": 1, "experiment": {"task": "listops"}}', "Not a complete result"),
    ],
)
def test_foreign_files_are_told_apart(tmp_path, text, message):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Result.load(path)


def test_an_epoch_that_lacks_a_number_is_told(tmp_path):
    result = canned_result("gravitational", 1)
    del result.curve[2]["seconds"]
    result.save(tmp_path / "result.json")
    with pytest.raises(ValueError, match="Not a complete result: 'seconds'"):
        Result.load(tmp_path / "result.json")


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        Result.load(tmp_path / "none.json")


def test_results_are_found_in_their_folders(tmp_path):
    results = [canned_result("dot_product", 0), canned_result("gravitational", 0)]
    write_comparison(tmp_path, results)
    assert load_results(tmp_path) == results


def test_the_interval_is_students():
    # By hand: mean 3, standard deviation sqrt(2.5), t(0.975, 4) = 2.7764.
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3.0
    assert found.half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-5)
    assert estimate([0.25]).half_width is None
    assert estimate([]) is None


def test_improvement_is_paired_by_seed():
    # By hand: seed 0 gives +0.1, seed 2 gives -0.05; seed 1 has no partner.
    found = relative_improvement({0: 0.44, 1: 0.9, 2: 0.475}, {0: 0.4, 2: 0.5, 3: 0.1})
    assert found.values == pytest.approx((0.1, -0.05))
    assert found.mean == pytest.approx(0.025)
    # t(0.975, 1) = 12.706, standard deviation 0.15 / sqrt(2).
    assert found.half_width == pytest.approx(12.7062 * 0.15 / 2, rel=1e-4)
    assert relative_improvement({0: 0.4}, {1: 0.4}) is None


def test_reached_gives_the_first_epoch_and_its_seconds():
    result = canned_result("dot_product", 0)
    for point, accuracy in zip(
        result.curve, (0.1, 0.3, 0.2, 0.35, 0.4, 0.4), strict=True
    ):
        point["validation_accuracy"] = accuracy
        point["total_seconds"] = 2.0 * point["epoch"]
    assert result.reached(0.3) == (2, 4.0)
    assert result.reached(0.31) == (4, 8.0)
    assert result.reached(0.5) is None
    assert result.best_validation == 0.4


def test_seconds_per_epoch_is_the_median():
    result = canned_result("dot_product", 0, epochs=3)
    for point, seconds in zip(result.curve, (9.0, 2.0, 4.0), strict=True):
        point["seconds"] = seconds
    assert result.seconds_per_epoch == 4.0
    result.curve.pop()
    assert result.seconds_per_epoch == 5.5
    result.curve.clear()
    assert result.seconds_per_epoch is None


def test_the_clock_tells_compilation_apart():
    clock = StepClock()
    clock.start_epoch()
    for seconds in (10.0, 1.0, 1.0, 1.0):
        clock.add("train", (4, 8), seconds)
    # Only one step of this shape: at the others' rate of 1 second for 32 tokens.
    clock.add("train", (4, 16), 7.0)
    clock.add("evaluate", (4, 8), 3.0)
    clock.add("evaluate", (4, 8), 0.5)
    assert clock.epoch_seconds == pytest.approx(4 * 1.0 + 2.0)
    assert clock.compile_seconds == pytest.approx(9.0 + 5.0 + 2.5)


def test_compiling_again_after_a_restart_counts_once():
    clock = StepClock()
    clock.add("train", (4, 8), 10.0)
    clock.add("train", (4, 8), 1.0)
    assert clock.compile_seconds == pytest.approx(9.0)
    later = StepClock(clock.compilation)
    later.start_epoch(5.0)
    later.add("train", (4, 8), 20.0)
    later.add("train", (4, 8), 1.0)
    assert later.epoch_seconds == pytest.approx(7.0)
    assert later.compile_seconds == pytest.approx(9.0)
