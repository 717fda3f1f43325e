"""The benchmark measures, judges and records, and gives no ratio to a wrong layer."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest

from keras_twa import layers

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import attention
import cases
import document
import measure
import peers
import processes
import scaling
import steps
import tables
import targets

pytestmark = [pytest.mark.full, pytest.mark.once]

SIZES = argparse.Namespace(
    length=64, batch=2, heads=2, dim=4, repeats=2, dtype="float32"
)
MECHANISMS = tuple(peers.mechanisms())
BACKEND = keras.backend.backend()


class WrongAttention(layers.DotProductAttention):
    """Is a little off, but not on the route that returns the weights."""

    def attend(self, call):
        outputs = super().attend(call)
        return outputs if isinstance(outputs, tuple) else outputs + 0.01


def result(name, median=1.0, memory=1e6, **more):
    """Return what a case gives."""
    return {
        "name": name,
        "forward": name.endswith("forward"),
        "whole_block": False,
        "seconds": [median, 2 * median],
        "median": median,
        "memory": memory,
        **more,
    }


def layers_report(backend="torch", device="CPU", **changes):
    """Return a record of three layers and their peer."""
    results = [
        result(cases.KERAS, 0.5, 4e6),
        result("dot_product", 0.4, 5e6, agrees=True),
        result("gravitational", 1.0, agrees=False),
        result(cases.DENSE, 8.0),
        {
            "name": "x_transformers Encoder, flash",
            "forward": False,
            "whole_block": True,
            "problem": "not installed",
        },
        result(cases.forward_name(cases.KERAS), 0.1),
        result(cases.forward_name("dot_product"), 0.09),
    ]
    aims = targets.targets_for(MECHANISMS, backend)
    return {
        "kind": "layers",
        "date": "2026-11-22",
        "environment": {
            "backend": backend,
            "device": device,
            "processor": "a processor",
            "cores": 2,
            "dtype": "float32",
            "keras": "3.15.1",
            backend: "1.2.3",
            "commit": "abcdef",
        },
        "load": 0.25,
        "operations_per_second": 2e11,
        "settings": vars(SIZES),
        "cases": results,
        "targets": targets.judge(aims, results, backend),
        **changes,
    }


def scaling_report():
    """Return a record of two series, one of which stopped early."""
    points = [
        {"length": length, "median": 1e-6 * length**2, "memory": 1e3 * length}
        for length in (512, 1024, 2048, 32768)
    ]
    all_series = [
        {"name": "dot_product", "points": points, "stopped": None},
        {"name": "gravitational", "points": points[:2], "stopped": "more than 12 GB"},
    ]
    for series in all_series:
        series["whole_block"] = False
        for quantity in scaling.QUANTITIES:
            series[f"{quantity}_slope"] = scaling.slope(series["points"], quantity)
    report = layers_report()
    del report["cases"]
    facts = {"mechanisms": ["dot_product", "gravitational"], **report}
    options = argparse.Namespace(lengths=[512, 32768], family="foundation")
    return {
        **report,
        "kind": "scaling",
        "settings": {"dtype": "float32"},
        "series": all_series,
        "targets": scaling.judge_scaling(all_series, facts, options),
    }


@pytest.mark.parametrize("name", [cases.KERAS, cases.DENSE, cases.DROPOUT])
def test_measures(name):
    timed = measure.measure(name, "time", SIZES)["seconds"]
    assert len(timed) == 2
    assert min(timed) > 0
    weighed = measure.measure(name, "memory", SIZES)
    assert weighed["memory"] >= 0
    assert weighed["parameters"] > 4 * 64


def test_a_peak_that_the_system_tells_late_is_no_loss(monkeypatch):
    peaks = iter([11, 10])
    monkeypatch.setattr(measure.machine, "peak_memory", lambda: next(peaks))
    assert measure.peak_growth(lambda: None) == 0


@pytest.mark.parametrize("name", [cases.ADDITIVE, cases.IN_TILES])
def test_variants_are_right(name):
    assert measure.measure(name, "agreement", SIZES) == {"agrees": True}


def test_measures_half_precision_and_inference():
    half = argparse.Namespace(**vars(SIZES) | {"dtype": "bfloat16"})
    assert measure.measure("dot_product", "agreement", half) == {"agrees": True}
    name = cases.forward_name(cases.KERAS)
    assert len(measure.measure(name, "time", half)["seconds"]) == 2


def test_the_near_and_the_far_field_are_no_further_off_than_promised():
    found = measure.measure("multi_timescale", "error", SIZES)["error"]
    assert 0 <= found <= targets.NEAR_AND_FAR_ERROR


def test_every_peer_of_this_backend_takes_a_step():
    case = cases.Case("peer", "")
    x = steps.sequences(8, SIZES)
    for peer in cases.PEERS:
        if peer.runs_on(BACKEND, gpu=False) and peer.package is None:
            subject = steps.Subject.of(replace(case, subject=peer.name), SIZES)
            output, in_x, *_ = subject.step()(x)
            assert output.shape == in_x.shape == x.shape


def test_the_dense_formula_is_the_gravitational_layer():
    gravitational = layers.GravitationalAttention(2, 4)
    formula = peers.DenseGravitational(2, 4)
    x = keras.random.normal((2, 11, 8), seed=1)
    gravitational(x)
    formula(x)
    theirs = {v.path.split("/", 1)[1]: v for v in gravitational.weights}
    for variable in formula.weights:
        name = variable.path.split("/", 1)[1]
        if name == "gravity":
            name = next(path for path in theirs if "log_gravity" in path)
            value = np.exp(theirs[name])
        else:
            value = np.array(theirs[name])
        variable.assign(value.reshape(variable.shape))
    expected = keras.ops.convert_to_numpy(gravitational(x))
    got = keras.ops.convert_to_numpy(formula(x))
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "agrees"), [(layers.DotProductAttention, True), (WrongAttention, False)]
)
def test_knows_a_wrong_layer(layer, agrees):
    layer = layer(num_heads=2, key_dim=4)
    layer.build((None, None, 8))
    x = keras.random.normal((2, 37, 8), seed=1)
    assert measure.equals_dense_route(steps.Subject(layer), x) is agrees


def test_small_tiles_must_have_something_to_cut():
    with mock.patch.dict(sys.modules):
        for name in [n for n in sys.modules if n.startswith("keras_twa.ops")]:
            del sys.modules[name]
        with pytest.raises(LookupError, match="TILE_ELEMENTS"), measure.small_tiles():
            pass


def test_a_target_is_met_or_missed_or_not_judged():
    aim = targets.Target("a", "b", targets.everywhere(0.5))
    thrifty = targets.Target("a", "b", {"torch": 0.5}, "memory")

    def judged(a, *others, backend="torch", target=aim):
        [row] = targets.judge([target], [a, *others], backend)
        return row["measured"], row["verdict"]

    assert judged(result("a", 1.0), result("b", 2.0)) == (0.5, "met")
    assert judged(result("a", 1.1), result("b", 2.0)) == (0.55, "missed")
    assert judged(result("a", memory=4), result("b", memory=4), target=thrifty) == (
        1.0,
        "missed",
    )
    assert judged(result("a")) == (None, "not measured")
    assert judged(result("a", agrees=False), result("b", 9.0)) == (None, "WRONG")
    assert judged(result("a"), {"name": "b", "problem": "failed: x"}) == (
        None,
        "failed: x",
    )
    assert targets.judge([aim], [result("b")], "torch") == []


@pytest.mark.parametrize("backend", cases.BACKENDS)
@pytest.mark.parametrize("gpu", [False, True])
def test_every_target_names_cases_that_run(backend, gpu):
    names = [case.name for case in cases.all_cases(MECHANISMS, backend, gpu)]
    assert len(set(names)) == len(names)
    for target in targets.targets_for(MECHANISMS, backend, gpu):
        assert {target.case, target.against} <= set(names)
    if not gpu:
        assert targets.NEAR_AND_FAR.against in names


def test_what_cannot_run_is_no_failure(tmp_path):
    [fused] = [case for case in cases.plain_cases((), "jax", True) if case.half_only]
    facts = {"environment": {"backend": "jax", "dtype": "float32"}}
    assert processes.missing(fused, facts) == {"problem": "not in float32"}
    facts["environment"]["dtype"] = "bfloat16"
    assert processes.missing(fused, facts) is None
    errors = tmp_path / "errors"
    for text, full in (("CUDA out of memory. Tried", True), ("ValueError: no", False)):
        errors.write_text(f"Traceback:\n{text}\n")
        with errors.open("rb") as file:
            assert processes.ran_out_of_memory(file) is full
    assert not attention.failed({"problem": "not in float32"})


def test_a_wrong_layer_gets_no_ratio():
    shown = {row[0]: row for row in tables.case_tables(layers_report())[0].rows}
    assert shown["dot_product"] == (
        "dot_product",
        "400",
        "400-800",
        "0.80",
        "5",
        "1.25",
    )
    assert shown["gravitational"][3] == shown["gravitational"][5] == "WRONG"
    assert "not installed" in shown["x_transformers Encoder, flash (a whole block)"]
    assert attention.failed({"agrees": False})
    assert attention.failed({"problem": "failed: no"})
    assert not attention.failed({"problem": "not installed"})


def test_slopes_and_long_sequences():
    report = scaling_report()
    slopes = [series["median_slope"] for series in report["series"]]
    assert slopes == pytest.approx([2.0, 2.0])
    assert [row["verdict"] for row in report["targets"]] == ["met", "more than 12 GB"]


def test_records_become_the_document(tmp_path):
    options = argparse.Namespace(json=None, output=tmp_path)
    for report in (layers_report(), layers_report("jax"), scaling_report()):
        attention.record(report, options)
    (tmp_path / "other.json").write_text(json.dumps({"kind": "training"}))
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"layers-torch-64.json", "layers-jax-64.json", "scaling-torch.png"}
    empty = f"# Performance\n\n{document.BEGIN}\nold\n{document.END}\n"
    text = document.with_measured(empty, tmp_path)
    assert "old" not in text
    assert "| target | torch | jax |" in text
    row = "dot_product / keras MultiHeadAttention, memory"
    assert f"| {row} | **1.25 (≤ 1.00) missed** | **1.25 (≤ 0.10) missed** |" in text
    assert "| gravitational | 1000 | 1000-2000 | WRONG | 1 | WRONG |" in text
    assert "scaling-torch.png)" in text
    assert "2026-11-22, a processor, 2 cores" in text
    with pytest.raises(ValueError, match="must have the lines"):
        document.with_measured("# Performance\n", tmp_path)


def test_the_document_is_what_was_recorded():
    text = document.DOCUMENT.read_text(encoding="utf-8")
    recorded = document.DOCUMENT.parent / "performance"
    assert document.with_measured(text, recorded) == text


def test_recorded_numbers_hold_no_paths():
    for path in (document.DOCUMENT.parent / "performance").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not any(part in text for part in ("/home", "/tmp", "/work", "/usr"))


def test_runs_a_case_in_a_process_of_its_own():
    options = attention.parse_arguments(["--length", "16", "--repeats", "2"])
    name = cases.forward_name(cases.KERAS)
    found = processes.run_child(name, "time", options)
    assert len(found["seconds"]) == 2
    unknown = processes.run_child("nobody", "time", options)
    assert unknown["problem"].startswith("failed: ValueError: There is no such case")


def test_asks_for_all_that_a_case_needs_in_rounds():
    answers = {
        "agreement": {"agrees": True},
        "memory": {"memory": 7, "parameters": 3},
        "time": {"seconds": [1.0, 3.0]},
    }
    asked = []

    def run_child(name, what, options):
        asked.append((name, what))
        return {"problem": "failed"} if name == "bad" else answers[what]

    facts = {"mechanisms": ["good", "bad"], "environment": {"x-transformers": None}}
    chosen = [cases.Case(name, name) for name in ("good", "bad", "peer")]
    chosen += [
        cases.Case("absent", "absent", package="x-transformers"),
        cases.Case("good, forward", "good", forward=True),
    ]
    options = argparse.Namespace(rounds=2, family="foundation")
    kept = []
    with mock.patch.object(processes, "run_child", run_child):
        good, bad, peer, absent, forward = processes.measure_cases(
            chosen, facts, options, lambda text: None, kept.append
        )
    # What is there is kept as it comes, and only what can be shown.
    assert [len(found) for found in kept] == [3, 4, 5, 5, 5, 5]
    assert good["agrees"] and good["memory"] == 7
    assert good["seconds"] == [1.0, 3.0, 1.0, 3.0]
    assert good["median"] == forward["median"] == 2.0
    assert bad["problem"] == "failed" and absent["problem"] == "not installed"
    assert "agrees" not in peer and forward["agrees"]
    # The gate is asked once for a layer, and a round goes through all cases.
    assert asked[:2] == [("good", "agreement"), ("good", "memory")]
    assert asked[-6:] == 2 * [
        (name, "time") for name in ("good", "peer", "good, forward")
    ]


def test_some_cases_come_with_what_their_ratios_refer_to():
    chosen = cases.all_cases(["dot_product"], "torch")
    found = attention.some_of(chosen, [cases.forward_name("dot_product")])
    assert [case.name for case in found] == [
        cases.KERAS,
        cases.forward_name(cases.KERAS),
        cases.forward_name("dot_product"),
    ]
    with pytest.raises(SystemExit, match="Received: dot"):
        attention.some_of(chosen, ["dot"])


def test_ends_what_takes_too_much():
    options = attention.parse_arguments([])
    options.time_limit = 0.01
    assert "s" in processes.run_child("dot_product", "time", options)["problem"]
    options.time_limit, options.memory_limit = 60, 0.001
    problem = processes.run_child("dot_product", "time", options)["problem"]
    assert problem == "more than 0.001 GB"
