"""A chief and two workers, each a process, without TensorFlow where it can be."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_twa.tuner import TuningResult

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chief", "tuner0", "tuner1")
SECONDS = 400


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(folder, name, port):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KERAS_BACKEND": keras.backend.backend(),
        "KERASTUNER_TUNER_ID": name,
        "KERASTUNER_ORACLE_IP": "127.0.0.1",
        "KERASTUNER_ORACLE_PORT": str(port),
        # gRPC would ask a proxy for its own machine.
        "no_grpc_proxy": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }
    others = [other for other in NAMES if other != name]
    command = [sys.executable, "-m", "tests.tuner.tiny", str(folder), name, *others]
    with open(folder / f"{name}.log", "w") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log
        )


@pytest.mark.full
def test_a_chief_and_two_workers_share_a_search(tmp_path):
    port = free_port()
    with contextlib.ExitStack() as stack:
        processes = {}
        for name in NAMES:
            processes[name] = start(tmp_path, name, port)
            # Whatever happens, none of them stays.
            stack.callback(processes[name].wait)
            stack.callback(processes[name].kill)
        codes = {name: one.wait(SECONDS) for name, one in processes.items()}
    logs = {name: (tmp_path / f"{name}.log").read_text()[-2000:] for name in NAMES}
    assert codes == dict.fromkeys(NAMES, 0), logs

    ran = {name: (tmp_path / f"{name}.ran").read_text().split() for name in NAMES}
    assert ran["chief"] == ["default"]
    assert ran["tuner0"] and ran["tuner1"]
    assert sorted(ran["tuner0"] + ran["tuner1"]) == ["0", "1"]
    result = TuningResult.load(tmp_path / "search")
    assert result.complete
    assert sorted(trial["id"] for trial in result.trials) == ["0", "1"]
    assert {trial["status"] for trial in result.trials} == {"completed"}
    assert 0 <= result.best["test_accuracy"] <= 1
    assert 0 <= result.default["test_accuracy"] <= 1
