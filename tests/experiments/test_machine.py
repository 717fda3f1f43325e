"""What a run says about the memory that it took."""

import mmap
import subprocess

import pytest

from keras_twa.experiments import machine

pytestmark = pytest.mark.once

MEGABYTE = 2**20


def test_the_peak_tells_what_was_held_for_a_moment():
    machine.reset_peak_memory()
    before = machine.peak_memory()
    with mmap.mmap(-1, 96 * MEGABYTE) as held:
        held.write(b"1" * (32 * MEGABYTE) * 3)
    peak = machine.memory(before)["peak"]
    # The bytes that were copied from may still be held, too.
    assert 90 * MEGABYTE <= peak - before <= 250 * MEGABYTE


def test_the_peak_never_falls_below_what_was_told_before(monkeypatch):
    monkeypatch.setattr(machine, "peak_memory", lambda: 10 * MEGABYTE)
    assert machine.memory(11 * MEGABYTE)["peak"] == 11 * MEGABYTE
    assert machine.memory(9 * MEGABYTE)["peak"] == 10 * MEGABYTE


def test_a_system_that_tells_no_peak_gets_none(monkeypatch):
    monkeypatch.setattr(machine, "peak_memory", lambda: None)
    assert machine.memory(None)["peak"] is None


def test_the_commit_says_whether_it_is_all_that_ran(tmp_path, monkeypatch):
    def git(*arguments):
        options = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", *options, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    package = tmp_path / "keras_twa" / "experiments"
    package.mkdir(parents=True)
    monkeypatch.setattr(machine, "__file__", str(package / "machine.py"))
    assert machine._commit() is None
    (package / "machine.py").write_text("")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "First")
    commit = git("rev-parse", "--short", "HEAD")
    # As in a hook of another repository.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    assert machine._commit() == commit
    (package / "machine.py").write_text("changed")
    assert machine._commit() == f"{commit}-dirty"
