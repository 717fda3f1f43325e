"""The campaign on archive series: what it runs, and what it writes."""

import importlib.util
import math
import signal
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from keras_twa import layers
from keras_twa import tasks
from keras_twa.cli import common
from keras_twa.datasets.time_series import NAMES
from keras_twa.datasets.uneven_series import KINDS
from tests.experiments.test_across import SCORES
from tests.experiments.test_across import summaries

pytestmark = pytest.mark.once

PLACE = Path(__file__).resolve().parents[2] / "benchmarks" / "time_series.py"
CONSOLE = Console(quiet=True)


@pytest.fixture(scope="module")
def benchmark():
    """Return the benchmark as a module."""
    spec = importlib.util.spec_from_file_location("time_series_benchmark", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def compared(benchmark, monkeypatch):
    """What it would compare, by the name of the data set."""
    found = {}

    def compare(name, attentions, options, backend, output, deadline, console):
        found[name] = (attentions, options, output, deadline)

    monkeypatch.setattr(benchmark, "compare", compare)
    return found


def test_it_compares_all_mechanisms_and_a_gru(benchmark, compared, tmp_path):
    assert benchmark.main(["--output", str(tmp_path)]) == 0
    assert list(compared) == list(NAMES)
    attentions, options, output, deadline = compared["GunPoint"]
    names = [text.partition("(")[0] for text in attentions]
    assert names == [*layers.mechanisms(), "gru"]
    assert set(benchmark.SHORT.values()) < set(attentions)
    assert (options.seeds, len(options.rates), output) == ((0, 1, 2, 3, 4), 3, tmp_path)
    assert deadline == math.inf


def test_it_compares_on_another_task(benchmark, compared, tmp_path):
    given = ["--task", "uneven_series", "--output", str(tmp_path)]
    assert benchmark.main(given) == 0
    assert list(compared) == list(KINDS)
    with pytest.raises(SystemExit):
        benchmark.main([*given, "--data", "GunPoint"])


def test_its_options_have_an_effect(benchmark, compared, tmp_path):
    given = ["--data", "ACSF1,GunPoint", "--attention", "local(window=4),gru"]
    given += ["--seeds", "7", "--rates", "", "--time-limit", "60", "--epochs", "2"]
    assert benchmark.main([*given, "--output", str(tmp_path)]) == 0
    assert list(compared) == ["ACSF1", "GunPoint"]
    attentions, options, _, deadline = compared["ACSF1"]
    assert attentions == ["local(window=4)", "gru"]
    assert (options.seeds, options.rates, options.changes) == ((7,), (), {"epochs": 2})
    assert 0 < deadline - time.monotonic() <= 60


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--data", "GunPoint,Gun"], "Received: Gun"),
        (["--workers", "0"], "must be positive"),
        (["--time-limit", "nan"], "must be positive"),
        (["--attention", "locl"], "Did you mean 'local'"),
    ],
)
def test_wrong_options_are_errors(
    benchmark, given, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    try:
        code = benchmark.main(given)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_it_can_be_interrupted(name, benchmark, monkeypatch, tmp_path, capsys):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("Only the main thread gets signals.")

    def compare(*arguments):
        summaries(tmp_path, {"GunPoint": SCORES["first"]})
        signal.raise_signal(getattr(signal, name))

    monkeypatch.setattr(benchmark, "compare", compare)
    # A shell lets programs in the background ignore SIGINT, and so these tests too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert benchmark.main(["--output", str(tmp_path)]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "the same command continues" in capsys.readouterr().err
    assert (tmp_path / "README.md").exists()


@pytest.mark.parametrize("task", ["time_series", "uneven_series"])
def test_short_mechanisms_see_less_than_a_series(benchmark, task):
    assert task in benchmark.TASKS
    longest = tasks.get(task).presets["quick"].max_length
    known = layers.mechanisms()
    for name, text in benchmark.SHORT.items():
        assert common.checked(text, known).startswith(f"{name}(")
        layer = layers.get(text, num_heads=2, key_dim=16)
        sizes = ("window", "block_size", "bucket_size")
        assert min(getattr(layer, x) for x in sizes if hasattr(layer, x)) < longest / 2


def test_no_time_is_left(benchmark, tmp_path):
    options = benchmark.parse(["--output", str(tmp_path)])
    deadline = time.monotonic() - 1
    benchmark.compare("GunPoint", ["gru"], options, "jax", tmp_path, deadline, CONSOLE)
    assert list(tmp_path.iterdir()) == []


def test_it_summarizes_what_is_there(benchmark, tmp_path):
    options = benchmark.parse(["--output", str(tmp_path)])
    options.data = ["first", "second", "third"]
    benchmark.summarize(tmp_path, options, CONSOLE)
    assert not (tmp_path / "README.md").exists()
    summaries(tmp_path, SCORES)
    (tmp_path / "third").mkdir()
    benchmark.summarize(tmp_path, options, CONSOLE)
    text = (tmp_path / "README.md").read_text("utf-8")
    assert text.startswith(f"# {benchmark.TASKS['time_series'][1]}\n")
    assert "| mechanism | mean rank | first | second |" in text
    lines = (tmp_path / "results.csv").read_text("utf-8").splitlines()
    assert lines[0] == ",".join(benchmark.COLUMNS)
    assert {line.partition(",")[0] for line in lines[1:]} == {"first", "second"}
