"""Runs each case in its own process, within limits of time and memory."""

import json
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

MAIN = Path(__file__).resolve().with_name("attention.py")
SIZES = ("length", "batch", "heads", "dim", "repeats", "dtype")
# Returns freed memory to the system at once, so that the peak is the memory in use, and
# not what glibc's allocator kept. This makes steps slower, so only memory is measured
# with it.
MEMORY_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
# Above 32 MB, glibc requests every tensor from the system, whatever its thresholds are,
# so that lengths below and above that size could not be compared.
SCALING_ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0"}
PAUSE = 0.05


def run_child(name, what, options, **sizes):
    """Measures in a fresh process; returns its answer, or `{"problem": ...}`.

    Args:
        name: Name of the case.
        what: "time", "memory", "agreement", "error" or "step".
        options: The options of the command.
        **sizes: Sizes that replace those in `options`.
    """
    command = [sys.executable, str(MAIN), "--case", name, "--measure", what]
    for size in SIZES:
        command += [f"--{size}", str(sizes.get(size, getattr(options, size)))]
    further = SCALING_ENVIRONMENT if options.scaling else {}
    further = MEMORY_ENVIRONMENT if what == "memory" else further
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = psutil.Popen(
            command, stdout=output, stderr=errors, env={**os.environ, **further}
        )
        try:
            problem = watch(child, options.time_limit, options.memory_limit)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        answer, reason = (last_line(file) for file in (output, errors))
        full = ran_out_of_memory(errors)
    if problem:
        return {"problem": problem}
    if child.returncode == 0 and answer:
        return json.loads(answer)
    if full:
        return {"problem": "more than the device's memory"}
    return {"problem": f"failed: {reason or f'exit code {child.returncode}'}"}


def watch(child, seconds, gigabytes):
    """Waits for the end, or returns which limit was exceeded."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            child.wait(PAUSE)
            return None
        except psutil.TimeoutExpired:
            pass
        try:
            held = child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        if held > gigabytes * 1e9:
            return f"more than {gigabytes:g} GB"
    return f"more than {seconds:g} s"


def ran_out_of_memory(errors):
    """Whether a GPU ran out of memory: PyTorch and JAX use the same words."""
    errors.seek(0)
    return b"out of memory" in errors.read().lower()


def last_line(file):
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    # Paths of this machine are private.
    return re.sub(r"(?:/[\w.+-]+)+/", "", lines[-1]) if lines else ""


def measure_cases(cases, facts, options, show=print, keep=lambda results: None):
    """Runs all cases and returns their results, ready for JSON.

    Time is measured in several rounds, each through all cases, so that a machine that
    slows down affects all of them. `keep` gets the results so far after each case, so
    that they survive if the run is killed.
    """
    results = [
        {
            "name": case.name,
            "forward": case.forward,
            "whole_block": case.whole_block,
        }
        for case in cases
    ]
    checked = {}
    pairs = list(zip(cases, results, strict=True))
    for case, result in pairs:
        show(case.name)
        result |= first_look(case, facts, options, checked)
    for number in range(options.rounds):
        for case, result in pairs:
            if "problem" in result:
                continue
            show(f"{case.name}, round {number + 1} of {options.rounds}")
            result |= more_time(case, result, options)
            keep([found for found in results if {"median", "problem"} & found.keys()])
    return results


def first_look(case, facts, options, checked):
    """Measures what is needed once: whether the case runs and is right, and memory."""
    found = missing(case, facts) or gate(case, facts, options, checked)
    if "problem" in found or case.forward:
        return found
    found = {**found, **run_child(case.name, "memory", options)}
    if options.family == "long" and case.name in facts["mechanisms"]:
        # If a step fails, the rest is still measured.
        found = {**run_child(case.name, "step", options), **found}
    return found


def more_time(case, result, options):
    """The times so far and those of one more round, with their median."""
    timed = run_child(case.name, "time", options)
    if "problem" in timed:
        return timed
    seconds = [*result.get("seconds", ()), *timed["seconds"]]
    return {"seconds": seconds, "median": statistics.median(seconds)}


def missing(case, facts):
    """The problem of a case whose package or kernel is missing, else `None`."""
    environment = facts["environment"]
    if case.package is not None and not environment[case.package]:
        return {"problem": "not installed"}
    if (
        environment.get("backend") in case.half_only
        and environment["dtype"] == "float32"
    ):
        return {"problem": "not in float32"}
    return None


def gate(case, facts, options, checked):
    """Whether the layer is right; each layer is checked once."""
    if case.subject not in facts["mechanisms"]:
        return {}
    key = (case.subject, case.arguments, case.causal, case.positions)
    if options.family != "foundation":
        # One check of a layer covers every way to call it.
        key = case.subject
    if key not in checked:
        checked[key] = run_child(case.name, "agreement", options)
    return checked[key]
