"""`keras_twa.probe`: real runs, and what it refuses."""

import json
import math
import subprocess
import sys

import pytest

import keras_twa
from keras_twa.experiments import together

GIVEN = {"epochs": 1, "learning_rates": [3e-3], "verbose": 0}


@pytest.mark.full
@pytest.mark.timeout(600)
def test_two_mechanisms_on_two_probes(tmp_path, monkeypatch, capsys):
    arguments = (["dot_product", ["local(window=4)", "retention"], "lsh"],)
    given = {**GIVEN, "probes": ["memorization", "compression"], "workers": 2}
    # The time is over before anything starts.
    before = keras_twa.probe(*arguments, **given, time_limit=1e-9, output=tmp_path)
    assert before.table.isna().all(axis=None)
    matrix = keras_twa.probe(*arguments, **given, output=tmp_path)
    assert isinstance(matrix, keras_twa.probing.CapabilityMatrix)
    found = matrix.table["memorization"]
    assert list(found.index) == ["dot_product", "[local(window=4), retention]", "lsh"]
    assert found["dot_product"] > 0.2 and math.isnan(found["lsh"])
    assert matrix.skipped[("lsh", "memorization")]
    counts = matrix.details["parameters"].dropna()
    assert len(counts) == 4
    assert matrix.report().exists()
    capsys.readouterr()
    # Nothing is left to do.
    results = {path: path.read_bytes() for path in tmp_path.glob("*/*/result.json")}
    assert len(results) == 4
    monkeypatch.setattr(together, "run_all", lambda runs, *_: [] if not runs else 1 / 0)
    again = keras_twa.probe(*arguments, **given, output=tmp_path)
    assert again.table.equals(matrix.table)
    assert {path: path.read_bytes() for path in results} == results


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_killed_command_continues(tmp_path):
    command = [sys.executable, "-m", "keras_twa", "probe", "--attention", "linear"]
    command += ["--probes", "memorization", "--rates", "3e-3", "--json"]
    command += ["--output", str(tmp_path), "--workers", "1"]
    started = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    result = tmp_path / "memorization" / "linear-seed0-rate0.003" / "result.json"
    try:
        while started.poll() is None and not result.exists():
            try:
                started.wait(0.2)
            except subprocess.TimeoutExpired:
                pass
    finally:
        started.kill()
        started.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["score"] > 0.2


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"time_limit": 0}, "time_limit=0"),
        ({"workers": 0}, "workers=0"),
        ({"seeds": 0}, "seeds=0"),
        ({"probes": "parit"}, "Did you mean 'parity'"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        keras_twa.probe(**wrong, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
