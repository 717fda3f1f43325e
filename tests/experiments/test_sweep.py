"""Sweeps of learning rates: the same for each mechanism, chosen on validation rows."""

import dataclasses
import json
from pathlib import Path

import pytest

from keras_twa.cli import main
from keras_twa.experiments.report import write_report
from keras_twa.experiments.sweep import check_rates
from keras_twa.experiments.sweep import chosen_rate
from keras_twa.experiments.sweep import first_runs
from keras_twa.experiments.sweep import other_runs
from keras_twa.experiments.sweep import with_chosen_rates
from keras_twa.tasks import Metric
from tests.experiments import own_task
from tests.experiments.canned_results import canned_result
from tests.experiments.canned_results import write_comparison

TASK = f"{Path(own_task.__file__)}:TASK"


def swept(attention, seed, rate, score, status="completed", metric=None):
    """A result of a run with a rate of its own."""
    result = canned_result(attention, seed, epochs=1, status=status)
    result.experiment = dataclasses.replace(result.experiment, learning_rate=rate)
    result.metric = metric or Metric()
    for point in result.curve:
        point[f"validation_{result.metric.name}"] = score
    return result


@pytest.mark.once
def test_the_best_validation_score_chooses():
    runs = [
        swept("dot_product", 0, 0.1, 0.4),
        swept("dot_product", 0, 0.01, 0.6),
        swept("dot_product", 0, 0.001, 0.6),
        swept("dot_product", 0, 0.5, 0.9, status="failed"),
        # Another seed is no part of the choice.
        swept("dot_product", 1, 0.01, 0.2),
    ]
    assert chosen_rate(runs) == 0.01
    assert with_chosen_rates(runs) == [runs[1], runs[4]]
    error = Metric("error", higher_is_better=False, percent=False)
    runs = [swept("dot_product", 0, rate, rate, metric=error) for rate in (0.3, 0.2)]
    assert chosen_rate(runs) == 0.2
    failed = [swept("dot_product", 0, 0.1, 0.4, status="failed")]
    assert chosen_rate(failed) is None
    # All that there is to tell is that they failed.
    assert with_chosen_rates(failed) == failed


@pytest.mark.once
def test_runs_without_a_sweep_stay():
    runs = [canned_result("dot_product", seed) for seed in (0, 1)]
    assert with_chosen_rates(runs) == runs


@pytest.mark.once
def test_other_seeds_wait_for_the_whole_sweep():
    names = ("dot_product", "gravitational")
    experiments = [canned_result(n, seed).experiment for n in names for seed in (3, 4)]
    first = first_runs(experiments, (0.1, 0.2))
    assert [(e.attention, e.seed, e.learning_rate) for e in first] == [
        ("dot_product", 3, 0.1),
        ("dot_product", 3, 0.2),
        ("gravitational", 3, 0.1),
        ("gravitational", 3, 0.2),
    ]
    assert first[0].name == "dot_product-seed3-rate0.1"
    results = [
        swept("dot_product", 3, 0.1, 0.4),
        swept("dot_product", 3, 0.2, 0.5),
        swept("gravitational", 3, 0.1, 0.4),
        swept("gravitational", 3, 0.2, 0.5, status="stopped"),
    ]
    (other,) = other_runs(experiments, results)
    assert (other.attention, other.seed, other.learning_rate) == ("dot_product", 4, 0.2)


@pytest.mark.once
@pytest.mark.parametrize("rates", [[0], [-1], ["a"], [float("nan")], [True], "12", 3])
def test_other_rates_are_refused(rates):
    with pytest.raises(ValueError, match="Received: "):
        check_rates(rates)


@pytest.mark.once
def test_the_report_shows_the_sweep(tmp_path):
    results = [
        swept("dot_product", 0, 0.1, 0.31),
        swept("dot_product", 0, 0.01, 0.42),
        swept("dot_product", 1, 0.01, 0.43),
        swept("gravitational", 0, 0.1, 0.44, status="failed"),
        swept("gravitational", 0, 0.01, 0.45),
    ]
    write_comparison(tmp_path, results, learning_rates=[0.1, 0.01, 0.001])
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "| dot product (conventional) | 31.0 % | 42.0 % | failed | 0.01 |" in text
    assert "0.01 |" in text
    assert "0, learning rate 0.1" in text
    assert "nothing is tuned" not in text
    assert "| learning rate | `chosen in the sweep` |" in text
    # Two runs with the rate that was chosen, of the three that ran.
    row = next(x for x in text.splitlines() if x.startswith("| dot product"))
    assert "| 2 of 2 |" in row


@pytest.mark.full
def test_the_command_sweeps_and_continues(tmp_path, capsys):
    command = ["compare", "--task", TASK, "--attention", "dot_product", "--epochs", "2"]
    command += ["--learning-rates", "1e-9,1e-2", "--output", str(tmp_path / "out")]
    command += ["--json"]
    assert main([*command, "--seeds", "0"]) == 0
    capsys.readouterr()
    assert main([*command, "--seeds", "0,1"]) == 0
    found = json.loads(capsys.readouterr().out)
    runs = [
        (r["experiment"]["seed"], r["experiment"]["learning_rate"], r["starts"])
        for r in found["results"]
    ]
    assert runs == [(0, 1e-9, 1), (0, 1e-2, 1), (1, 1e-2, 1)]
    assert found["left"] == 0
    slow, fast = (r["test"]["error"] for r in found["results"][:2])
    assert fast < slow
    # The same folder without a sweep would mix two comparisons.
    at = command.index("--learning-rates")
    assert main(command[:at] + command[at + 2 :]) == 2
    assert "learning_rates is [1e-09, 0.01] there" in capsys.readouterr().err


@pytest.mark.once
@pytest.mark.parametrize("value", ["0", "1e-3,x", "nan", ""])
def test_the_command_refuses_other_rates(value, capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--task", TASK, "--learning-rates", value])
    assert "positive numbers" in capsys.readouterr().err
