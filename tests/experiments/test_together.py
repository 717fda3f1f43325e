"""Several comparisons share the workers."""

import pytest

from keras_twa.experiments import together
from keras_twa.experiments.lock import locked
from keras_twa.experiments.together import run_together
from keras_twa.probing.plan import Plan
from tests.probing.canned import canned_result
from tests.probing.canned import save

pytestmark = pytest.mark.once


@pytest.fixture
def stages(monkeypatch):
    """Lets runs have canned results, and notes what would run at once."""
    found = []

    def run_all(runs, on_event, workers):
        found.append(runs)
        results = []
        for run in runs:
            for earlier in run.earlier:
                result = canned_result(earlier.experiment, 0.9)
                on_event(result.experiment, {"event": "end", "result": result})
                results.append(result)
        return results

    monkeypatch.setattr(together, "run_all", run_all)
    return found


def comparisons(folder, seeds=2):
    plan = Plan.of(
        ["linear", "rwkv"],
        ["parity", "copying"],
        seeds,
        "quick",
        [1e-3, 3e-3],
        output=folder,
    )
    return [*plan.prepare().values()]


def test_all_sweeps_come_before_other_seeds(stages, tmp_path):
    events = []
    results = run_together(
        comparisons(tmp_path), lambda experiment, event: events.append(experiment)
    )
    first, second = stages
    # A process for each mechanism and probe, with both rates.
    assert [len(run.earlier) for run in first] == [2] * 4
    assert {run.folder.parent.name for run in first} == {"parity", "copying"}
    names = [run.earlier[0].experiment for run in second]
    assert [(x.task, x.attention, x.seed, x.learning_rate) for x in names] == [
        ("parity", "linear", 1, 3e-3),
        ("parity", "rwkv", 1, 3e-3),
        ("copying", "linear", 1, 3e-3),
        ("copying", "rwkv", 1, 3e-3),
    ]
    assert len(results) == len(events) == 12
    assert all(run.fingerprint for run in first)


def test_complete_runs_are_kept(stages, tmp_path):
    found = comparisons(tmp_path, seeds=1)
    run_together(found, lambda *_: None)
    for run in stages[0]:
        for earlier in run.earlier:
            comparison = next(x for x in found if x.output == run.folder.parent)
            save(comparison, canned_result(earlier.experiment, 0.9))
    events = []
    results = run_together(found, lambda experiment, event: events.append(event))
    assert stages[2] == []
    assert len(results) == len(events) == 8


def test_a_folder_in_use_is_refused(stages, tmp_path):
    found = comparisons(tmp_path)
    with locked(found[1].output), pytest.raises(BlockingIOError, match="copying"):
        run_together(found, lambda *_: None)
    assert stages == []
