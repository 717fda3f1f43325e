"""Runs at once: their shares of the machine, their order, and how they are stopped."""

import os
import time

import keras
import pytest

from keras_twa.cli import main
from keras_twa.experiments import workers
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.results import Result
from keras_twa.experiments.worker import VISIBLE
from keras_twa.experiments.worker import Share
from keras_twa.experiments.worker import Worker
from keras_twa.experiments.workers import run_all
from keras_twa.experiments.workers import shares
from keras_twa.tasks import load
from tests.experiments.tiny import tiny_experiment

pytestmark = pytest.mark.once


@pytest.fixture
def machine(monkeypatch):
    """Sets the cores and GPUs of the machine."""

    def choose(cores, gpus=()):
        monkeypatch.setattr(workers, "_cores", lambda: list(range(cores)))
        monkeypatch.setattr(workers, "_gpus", lambda: list(gpus))

    return choose


def test_one_run_has_the_whole_machine(machine):
    machine(8)
    assert shares(1) == [Share()]
    assert Share().environment == {}
    machine(1)
    assert shares(None) == [Share()]


def test_each_core_is_in_one_share(machine):
    machine(5)
    two = shares(2)
    assert two == [Share((0, 2, 4), 2), Share((1, 3), 2)]
    assert [place.environment for place in two] == [
        {"OMP_NUM_THREADS": "3"},
        {"OMP_NUM_THREADS": "2"},
    ]
    assert len(shares(None)) == 5
    # More runs than cores share them.
    assert [place.cores for place in shares(7)][5:] == [(0,), (1,)]


def test_each_gpu_is_in_one_share(machine):
    machine(8, ["0", "3"])
    assert [place.environment[VISIBLE] for place in shares(None)] == ["0", "3"]
    assert [place.environment[VISIBLE] for place in shares(3)] == ["0", "3", "0"]


def test_gpus_are_those_that_cuda_sees(monkeypatch):
    monkeypatch.setenv(VISIBLE, "1,GPU-5")
    assert workers._gpus() == ["1", "GPU-5"]
    monkeypatch.setenv(VISIBLE, "")
    assert workers._gpus() == []


class Run:
    """A run that takes a while, and keeps what it was given."""

    backend = "jax"

    def __init__(self, name, log, seconds=0.05, error=None):
        self.experiment = tiny_experiment(name)
        self.earlier = [Result(self.experiment)]
        self.log, self.seconds, self.error = log, seconds, error
        self.too_late = self.stopped = False

    def run(self, on_event, worker):
        self.log.append((self.experiment.attention, worker.share))
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and not self.too_late:
            time.sleep(0.01)
        if self.error is not None:
            raise self.error
        on_event(self.experiment, {"event": "epoch"})
        return [Result(self.experiment, "completed")]

    def ask_to_stop(self):
        self.too_late = True

    def stop(self):
        self.stopped = True


def test_no_two_runs_at_once_have_the_same_share(machine):
    machine(2)
    log, told = [], []
    runs = [Run(name, log) for name in ("local", "linear", "rwkv", "retention")]
    found = run_all(runs, lambda one, event: told.append((one, event)), 2)
    # From the last one, as the first is usually the cheapest.
    assert [name for name, _ in log[:2]] == ["retention", "rwkv"]
    assert {share.cores for _, share in log[:2]} == {(0,), (1,)}
    assert {result.experiment.attention for result in found} == {
        run.experiment.attention for run in runs
    }
    ends = [event for _, event in told if event["event"] == "end"]
    assert len(told) == 8 and len(ends) == 4


def test_one_run_at_a_time_keeps_the_order(machine):
    machine(2)
    log = []
    runs = [Run(name, log) for name in ("local", "linear")]
    run_all(runs, lambda *_: None, 1)
    assert log == [("local", Share()), ("linear", Share())]


def test_an_interrupt_stops_the_others(machine):
    machine(2)
    log = []
    runs = [Run("local", log, 0.0), Run("linear", log, 30.0)]
    runs += [Run("rwkv", log, 0.1, KeyboardInterrupt())]
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_all(runs, lambda *_: None, 2)
    assert time.monotonic() - start < 20
    assert all(run.stopped for run in runs)
    # The third in line never started.
    assert [name for name, _ in log] == ["rwkv", "linear"]


def test_what_is_too_late_does_not_start(machine):
    machine(1)
    log = []
    runs = [Run("local", log), Run("linear", log)]
    for run in runs:
        run.too_late = True
    runs[1].earlier[0].starts = 1
    # Only what was started before has a result.
    assert run_all(runs, lambda *_: None, 1) == runs[1].earlier
    assert log == []
    assert run_all([], lambda *_: None, None) == []


def ran(folder, fork, seeds=(0, 1)):
    """The numbers of the processes of two runs, and of their first parent."""
    folder.mkdir()
    worker = Worker(Share(), keras.backend.backend(), None, fork)
    processes, starters = [], []
    for seed in seeds:
        # No experiment: the run only says so.
        code = worker.run(
            [str(folder / f"{seed}.json"), str(folder)],
            folder / f"{seed}.txt",
            60.0,
            lambda process: (
                processes.append(process),
                starters.append(worker._host.pid),
            ),
            lambda event: pytest.fail(str(event)),
        )
        assert code == 2
        assert "No such file" in (folder / f"{seed}.txt").read_text()
    assert worker.close() == 0
    return processes, starters


@pytest.mark.skipif(not workers._can_fork(), reason="needs forks")
def test_runs_after_each_other_share_what_was_imported(tmp_path):
    processes, starters = ran(tmp_path / "forked", fork=True)
    assert len({*processes, *starters}) == 3
    processes, starters = ran(tmp_path / "fresh", fork=False)
    assert processes == starters and len({*processes}) == 2


@pytest.mark.full
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs affinities")
def test_two_at_once_give_what_one_at_a_time_does(tmp_path):
    experiments = [tiny_experiment(name, epochs=1) for name in ("local", "linear")]
    first = experiments[0]
    rows = load(first.task, first.data, first.settings)
    found = {}
    for count in (1, 2):
        folder = tmp_path / str(count)
        comparison = Comparison(folder, experiments, keras.backend.backend())
        comparison.prepare(rows)
        found[count] = comparison.run(lambda *_: None, workers=count)
    for one, two in zip(found[1], found[2], strict=True):
        assert one.experiment == two.experiment
        assert one.test == pytest.approx(two.test, rel=1e-4)
        assert one.environment["runs at once"] == 1
        assert two.environment["runs at once"] == 2
        cores = len(os.sched_getaffinity(0))
        assert two.environment["cores"] in (cores // 2, -(-cores // 2))


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_other_numbers_of_workers_are_refused(value, capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--task", "listops", f"--workers={value}"])
    assert "positive integer. Received:" in capsys.readouterr().err
