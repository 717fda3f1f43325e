"""The benchmark of the layers for long sequences asks for all that its targets need."""

import argparse
import sys
from pathlib import Path

import pytest

from keras_twa import layers
from tests.contract.cases import PLAIN

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import attention
import cases
import document
import measure
import peers
import processes
import scaling
import targets

pytestmark = [pytest.mark.full, pytest.mark.once]

MECHANISMS = tuple(peers.mechanisms())
LONG = tuple(cases.of_family(MECHANISMS, "long"))
SIZES = argparse.Namespace(
    length=64, batch=2, heads=2, dim=4, repeats=2, dtype="float32"
)


def test_each_layer_is_in_one_family():
    first = cases.of_family(MECHANISMS, "foundation")
    assert tuple(first) == cases.FOUNDATION
    assert {*first, *LONG} == {*MECHANISMS}
    # A linear mechanism is for long sequences; not all of these are linear.
    assert {*peers.linear_mechanisms()} < {*LONG}


@pytest.mark.parametrize("backend", cases.BACKENDS)
def test_every_target_names_cases_that_run(backend):
    names = [case.name for case in cases.long_cases(MECHANISMS, backend)]
    assert len(set(names)) == len(names)
    for target in targets.LONG_TARGETS:
        if backend in target.most:
            assert {target.case, target.against} <= {*names}
    stated = peers.linear_mechanisms()
    linear = cases.linear_cases(MECHANISMS, stated, backend)
    assert {case.subject for case in linear} == {*stated}
    others = {"forgetting", "transformer_xl", "additive", "differential", "latent"}
    assert {*LONG} - {*stated} == others


@pytest.mark.parametrize("backend", cases.BACKENDS)
def test_every_further_target_names_cases_that_run(backend):
    directed = peers.directed_mechanisms()
    assert "retention" in directed
    assert "block_recurrent" not in directed
    found = cases.further_cases(MECHANISMS, directed, backend)
    names = [case.name for case in found]
    assert len(set(names)) == len(names)
    assert {"mamba2(num_groups=2), causal", "rwkv(version=7), causal"} <= {*names}
    for target in targets.further_targets(directed, backend):
        assert {target.case, target.against} <= {*names}
    for case in found:
        assert cases.named(case.name, MECHANISMS, backend).subject == case.subject


def test_a_state_is_judged_by_its_bytes():
    results = [
        {"name": name, **measure.measure(name, "memory", SIZES)}
        for name in ("dot_product", "latent", "retention, both directions")
    ]
    # A latent vector of 4 channels and 2 rotated ones; keys and values of 16 channels.
    # Each step also has a time, and whether it is real.
    assert results[0]["state"] == 64 * (4 * 16 + 5) + 4
    assert results[1]["state"] == 64 * (4 * 6 + 5) + 4
    assert results[2]["state"] is None
    aims = [x for x in targets.FURTHER_TARGETS if x.quantity == "state"]
    [row] = targets.judge(aims, results, "torch")
    assert row["target"] == "latent / dot_product, state"
    assert row["verdict"] == "missed"


def test_later_layers_are_not_measured_against_the_length():
    with pytest.raises(SystemExit):
        attention.parse_arguments(["--family", "further", "--scaling"])


@pytest.mark.parametrize("name", ["linear, causal", "linear, both directions"])
def test_measures(name):
    assert len(measure.measure(name, "time", SIZES)["seconds"]) == 2


def test_times_steps_where_states_do_not_grow(monkeypatch):
    monkeypatch.setattr(measure, "POSITIONS", (3, 70))
    monkeypatch.setattr(measure, "STEPS", 2)
    found = measure.measure("linear", "step", SIZES)["step_seconds"]
    assert {name: len(times) for name, times in found.items()} == {"3": 2, "70": 2}
    assert measure.measure("forgetting", "step", SIZES) == {}


def test_a_late_step_is_judged_beside_an_early_one():
    def judged(late):
        result = {"name": "a", "step_seconds": {"100": [2.0] * 3, "100000": [late] * 3}}
        [row] = targets.judge_steps([result, {"name": "b"}])
        return row["target"], row["measured"], row["verdict"]

    assert judged(2.0) == ("a, a step at 100,000 and 100", 1.0, "met")
    assert judged(3.0)[1:] == (1.5, "missed")


def test_knows_a_layer_that_is_not_its_loop(monkeypatch):
    class Wrong(layers.LinearAttention):
        """Is a little off."""

        def attend(self, call):
            output, state = super().attend(call)
            return output + 0.01, state

    [case] = [case for case in PLAIN if case.layer is layers.LinearAttention]
    monkeypatch.setattr("tests.contract.cases.PLAIN", [case])
    assert measure.equals_loop(layers.LinearAttention)
    monkeypatch.setattr("tests.contract.cases.PLAIN", [case.with_layer(Wrong)])
    assert not measure.equals_loop(Wrong)


def test_slopes_are_judged():
    points = [
        {"length": length, "median": 1e-6 * length**1.2, "memory": 1e3 * length}
        for length in scaling.LENGTHS["long"]
    ]
    series = {"name": "linear", "points": points, "stopped": None}
    series["median_slope"] = scaling.slope(points, "median")
    facts = {"mechanisms": ["linear"], "environment": {"backend": "torch"}}
    options = attention.parse_arguments(["--family", "long", "--scaling"])
    options.lengths = scaling.LENGTHS["long"]
    memory, slope = scaling.judge_scaling([series], facts, options)
    assert memory["verdict"] == "met"
    assert slope["measured"] == pytest.approx(1.2)
    assert slope["verdict"] == "missed"


def test_a_record_has_its_own_name():
    options = attention.parse_arguments(["--family", "long"])
    facts = {
        "environment": {"backend": "jax", "device": "CPU"},
        "operations_per_second": 1.0,
    }
    report = attention.heading("layers", options, facts, processes.SIZES)
    assert attention.record_name(report) == "long-layers-jax-4096"


def test_backends_are_compared():
    def report(backend, seconds):
        found = [{"name": name, "median": seconds} for name in (cases.KERAS, "linear")]
        return {"environment": {"backend": backend}, "cases": found}

    table = document.beside_torch([report("torch", 1.0), report("jax", 1.6)])
    assert table.rows == [("linear, time beside torch", "**1.60 (≤ 1.50) missed**")]
