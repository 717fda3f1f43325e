"""Runs each case in a process of its own, within limits of time and memory."""

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
# What is freed goes back to the system at once, so that the peak is what was in use
# and not what glibc's allocator kept. It makes steps slower: only memory runs so.
MEMORY_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
# Beyond 32 MB glibc asks the system for every tensor anew, whatever its thresholds say,
# and the lengths on both sides of that would tell nothing about each other.
SCALING_ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0"}
PAUSE = 0.05


def run_child(name, what, options, **sizes):
    """Measures in a fresh process; returns its answer, or `{"problem": ...}`.

    Args:
        name: Name of the case.
        what: "time", "memory", "agreement", "error" or "step".
        options: The options of the command.
        **sizes: Sizes to put in the place of those in `options`.
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
    """Waits for the end, or returns which limit was passed."""
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
    """Whether a GPU had no more: PyTorch and JAX say so in the same words."""
    errors.seek(0)
    return b"out of memory" in errors.read().lower()


def last_line(file):
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    # Where the files of this machine lie is nobody's business.
    return re.sub(r"(?:/[\w.+-]+)+/", "", lines[-1]) if lines else ""


def measure_cases(cases, facts, options, show=print, keep=lambda results: None):
    """Runs all cases and returns their results, ready for JSON.

    Time is measured in several rounds, each through all cases: so a machine that
    slows down meanwhile slows all of them. `keep` gets what there is after each
    case, so that a run that is killed leaves it.
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
    """What is asked once: whether the case can run and is right, and its memory."""
    found = missing(case, facts) or gate(case, facts, options, checked)
    if "problem" in found or case.forward:
        return found
    found = {**found, **run_child(case.name, "memory", options)}
    if options.family == "long" and case.name in facts["mechanisms"]:
        # A step that fails is no reason not to measure the rest.
        found = {**run_child(case.name, "step", options), **found}
    return found


def more_time(case, result, options):
    """The seconds so far and those of one more round, with their median."""
    timed = run_child(case.name, "time", options)
    if "problem" in timed:
        return timed
    seconds = [*result.get("seconds", ()), *timed["seconds"]]
    return {"seconds": seconds, "median": statistics.median(seconds)}


def missing(case, facts):
    """The problem of a case that has no package, or no kernel, to run with."""
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
    """Whether the layer is right; the same layer is not asked twice."""
    if case.subject not in facts["mechanisms"]:
        return {}
    key = (case.subject, case.arguments, case.causal, case.positions)
    if options.family == "long":
        # The loop of a layer is asked for every way to call it at once.
        key = case.subject
    if key not in checked:
        checked[key] = run_child(case.name, "agreement", options)
    return checked[key]
