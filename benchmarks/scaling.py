"""Time and memory of each case against the length of the sequence."""

import math
import statistics

import cases
import targets
from processes import gate
from processes import missing
from processes import run_child

LENGTHS = {
    "foundation": tuple(512 * 2**power for power in range(7)),
    "long": tuple(4096 * 2**power for power in range(5)),
}
# Short sequences mostly cost the overhead of a call: only the longest show the slope.
FITTED = 4
QUANTITIES = ("median", "memory")


def measure_scaling(chosen, facts, options, show=print, keep=lambda series: None):
    """Runs each case at one length after the other, until it fails or hits a limit.

    `keep` gets the results so far after each case, so that they survive if the run is
    killed.
    """
    all_series = []
    for case in chosen:
        series = {"name": case.name, "whole_block": case.whole_block, "points": []}
        problem = stop_before(case, facts, options)
        for length in options.lengths if problem is None else ():
            show(f"{case.name}, length {length}")
            point = measure_point(case, length, options)
            if "problem" in point:
                problem = f"{point['problem']} at length {length}"
                break
            series["points"].append(point)
        series["stopped"] = problem
        series |= {
            f"{quantity}_slope": slope(series["points"], quantity)
            for quantity in QUANTITIES
        }
        all_series.append(series)
        keep(all_series)
    return all_series


def stop_before(case, facts, options):
    """Why a case must not run, or `None`."""
    found = missing(case, facts) or gate(case, facts, options, {})
    return targets.problem_of(found)


def measure_point(case, length, options):
    # Memory first: if it does not fit, there is no need to measure time.
    sizes = {"length": length, "batch": 1}
    point = {"length": length, **run_child(case.name, "memory", options, **sizes)}
    if "problem" not in point:
        point |= run_child(case.name, "time", options, **sizes)
    if "problem" not in point:
        point["median"] = statistics.median(point["seconds"])
    return point


def slope(points, quantity):
    """The power of the length that fits the longest sequences, or `None`."""
    logs = [
        (math.log(point["length"]), math.log(point[quantity]))
        for point in points
        if point[quantity] > 0
    ][-FITTED:]
    if len(logs) < 2:
        return None
    return statistics.linear_regression(*zip(*logs, strict=True)).slope


def judge_scaling(all_series, facts, options, show=print):
    """Whether long sequences fit, and what near and far fields save."""
    longest = max(options.lengths)
    rows = []
    for series in all_series:
        if series["name"] not in facts["mechanisms"]:
            continue
        reached = [p["memory"] for p in series["points"] if p["length"] == longest]
        rows.append(
            targets.verdict(
                f"{series['name']} trains at length {longest}, MB over idle",
                reached[0] / 1e6 if reached else series["stopped"],
                targets.LONG_BYTES / 1e6,
                "MB",
            )
        )
        if options.family == "long":
            name = f"{series['name']}, slope of time to length {longest}"
            found = series["median_slope"] if reached else series["stopped"]
            rows.append(targets.verdict(name, found, targets.MOST_SLOPE))
    own = [series for series in all_series if series["name"] == "multi_timescale"]
    if own and own[0]["points"]:
        rows += judge_near_and_far(own[0], facts, options, show)
    return rows


def judge_near_and_far(own, facts, options, show):
    """Compares the linear route of fixed discounts with the tiled route."""
    target = targets.NEAR_AND_FAR
    length = min(targets.NEAR_AND_FAR_LENGTH, own["points"][-1]["length"])
    show(f"{target.against}, length {length}")
    sizes = {"length": length, "batch": 1}
    [result] = [point for point in own["points"] if point["length"] == length]
    backend = facts["environment"]["backend"]
    in_tiles = cases.named(target.against, facts["mechanisms"], backend)
    other = gate(in_tiles, facts, options, {})
    other |= run_child(target.against, "time", options, **sizes)
    if "seconds" in other:
        other["median"] = statistics.median(other["seconds"])
    found = run_child(target.case, "error", options, **sizes)
    return [
        targets.verdict(
            f"{target.name}, length {length}",
            targets.ratio(result, other, "time"),
            target.most[backend],
        ),
        targets.verdict(
            f"{target.case}, error of its own route at length {length}",
            found.get("error", found.get("problem")),
            targets.NEAR_AND_FAR_ERROR,
        ),
    ]
