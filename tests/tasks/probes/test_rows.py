"""The rows of all probes: what solves them, what a guess scores, that they differ."""

import numpy as np
import pytest

from keras_twa import tasks
from keras_twa.tasks import probes
from tests.tasks.tiny import tiny_settings

pytestmark = pytest.mark.once

SIZES = {"num_train": 64, "num_validation": 40, "num_test": 50}


def rows_of(name, **changes):
    return tasks.load(name, "auto", tiny_settings(name, **{**SIZES, **changes}))


def drawn(name, preset, count, seed=7, times=1):
    probe = probes.get(name)
    settings = probe.presets[preset]
    rng = np.random.default_rng(seed)
    length = times * settings.max_length
    return probe, settings, probe.draw(rng, count, length, settings)


@pytest.mark.parametrize("name", probes.names())
def test_shapes_are_as_promised(name):
    for preset in ("quick", "standard"):
        probe, settings, (inputs, targets, weights) = drawn(name, preset, 6)
        assert targets.shape == weights.shape == (6, settings.max_length)
        assert set(np.unique(weights)) <= {0.0, 1.0}
        assert weights.any(axis=1).all()
        kinds = {"tokens": "int32", "values": "float32", "times": "float32"}
        for key, array in inputs.items():
            assert (key, array.dtype) == (key, kinds[key])
            assert array.shape[:2] == targets.shape
        assert ("times" in inputs) == probe.uses_times
        if "tokens" in inputs:
            assert inputs["tokens"].min() >= 0
            assert inputs["tokens"].max() < probe.tokens(settings)
        else:
            assert inputs["values"].shape[2] == probe.features(settings)
        if not probe.is_regression:
            assert targets.min() >= 0 and targets.max() < probe.outputs(settings)


@pytest.mark.parametrize("name", probes.names())
def test_the_solver_is_right_everywhere(name):
    for preset in ("quick", "standard"):
        for times in probes.get(name).test_lengths[:3]:
            probe, settings, (inputs, targets, weights) = drawn(
                name, preset, 40, times=times
            )
            answers = probe.solve(inputs, settings)
            assert probe.score(targets, answers, weights) == 1.0
            # A wrong answer would have been noticed.
            shifted = np.roll(answers, 1, axis=0)
            assert probe.score(targets, shifted, weights) < 0.9


@pytest.mark.parametrize("name", probes.names())
def test_a_guess_scores_what_is_stated_as_chance(name):
    probe, settings, (inputs, targets, weights) = drawn(name, "quick", 3_000)
    guess = probe.guess(np.random.default_rng(8), inputs, settings)
    score = probe.score(targets, guess, weights)
    assert abs(score - probe.chance(settings)) < 0.015
    assert probe.normalized(probe.chance(settings), settings) == 0.0
    assert probe.normalized(1.0, settings) == 1.0
    assert probe.normalized(0.0, settings) == 0.0


@pytest.mark.parametrize("name", probes.names())
def test_no_answer_is_as_frequent_as_a_better_guess_would_need(name):
    probe, settings, (_, targets, weights) = drawn(name, "quick", 3_000)
    if probe.is_regression:
        answers = targets[weights > 0]
        assert abs(answers.mean()) < 0.05
        np.testing.assert_allclose(answers.std(), 1.0, atol=0.03)
        return
    counts = np.bincount(targets[weights > 0])
    assert counts.max() / counts.sum() < probe.chance(settings) + 0.02


@pytest.mark.parametrize("name", probes.names())
def test_rows_are_fresh_at_every_step_and_the_same_for_a_seed(name):
    rows = rows_of(name)
    seen = [
        inputs
        for seed in (0, 1)
        for epoch in (0, 1)
        for inputs, _, _ in rows.train_batches(16, seed).epoch(epoch)
    ]
    assert len(seen) == 16
    seen += [rows.splits[split][0] for split in ("validation", "test")]
    key = "values" if "values" in seen[0] else "tokens"
    parts = [tuple(x.values()) for x in seen]
    every = [
        b"".join(array[row].tobytes() for array in part)
        for part in parts
        for row in range(len(part[0]))
    ]
    # Short rows of few symbols may coincide.
    assert len(set(every)) > 0.97 * len(every)
    again = rows_of(name)
    assert again.fingerprint == rows.fingerprint
    for one, other in zip(
        rows.train_batches(16, 3).epoch(1, start=2),
        [*again.train_batches(16, 3).epoch(1)][2:],
        strict=True,
    ):
        np.testing.assert_array_equal(one[0][key], other[0][key])
        np.testing.assert_array_equal(one[1], other[1])
    other = rows_of(name, data_seed=1).fingerprint
    assert all(other[split] != rows.fingerprint[split] for split in rows.fingerprint)


def test_counts_and_further_tests_are_those_of_the_settings():
    rows = rows_of("parity")
    assert rows.counts == {"train": 64, "validation": 40, "test": 50}
    assert len(rows.train_batches(16, 0)) == 4
    assert rows.further_tests == (
        "test at 2 times the length",
        "test at 4 times the length",
    )
    batches = rows.evaluation_batches(rows.further_tests[1], 32)
    shapes = [targets.shape for _, targets, _ in batches.epoch()]
    length = rows.settings.max_length
    assert shapes == [(32, 4 * length), (18, 4 * length)]
    # Only what is beyond the rows of training counts there.
    for _, _, weights in batches.epoch():
        assert not weights[:, :length].any() and weights[:, length:].all()
    assert rows_of("memorization").further_tests == ()


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"Did you mean 'parity'.*probe='party'"):
        probes.get("party")
    with pytest.raises(ValueError, match=r"Received: data='file\.txt'"):
        tasks.load("parity", "file.txt", tiny_settings("parity"))
    with pytest.raises(ValueError, match="Received: num_test=None"):
        rows_of("parity", num_test=None)
    with pytest.raises(ValueError, match=r"Did you mean 's5'.*group='s55'"):
        rows_of("permutations", group="s55").splits.items()
