"""What a run says about the memory that it took."""

import mmap

from keras_twa.experiments import machine

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
