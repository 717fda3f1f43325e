"""Dropout drops whole weights, at its rate, in training only."""

import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.checks.shared import SCORES
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import assert_finite
from keras_twa.testing.scenarios import everything_for
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import pair_of_lengths

# Weights of what follows the mixed values and is not linear in them.
NONLINEAR = {"timescales/expand/kernel", "norm/scale"}

# Weights for which no ReLU of a decoder is near its kink, where slopes differ.
NOISE_SEED = 2


def dropout_is_sound(case):
    """Dropout keeps the expectation, is seeded, varies, and is only for training."""
    call = pair_of_lengths(case, harness.QUERY_LENGTH, harness.KEY_LENGTH, batch=1)
    copies = 600
    many = {name: np.repeat(x, copies, axis=0) for name, x in call.items()}
    if not case.facts.cross_attention:
        many["value"] = many["query"]
    layer = harness.built(case, call, dropout=0.3, seed=7)
    twin = harness.built(case, call, dropout=0.3, seed=7)
    plain = harness.built(case, call)
    for other in (layer, twin):
        harness.copy_weights(plain, other)

    want = harness.run(plain, call).output
    at_rest = harness.run(layer, {**call, "training": False}).output
    assert_close(at_rest, want, "output at inference", 1e-5)
    first = harness.run(layer, {**many, "training": True}).output
    assert_finite(first, "output with dropout")
    assert first.std(axis=0).max() > 1e-3, "dropout drops nothing"
    second = harness.run(layer, {**many, "training": True}).output
    assert np.abs(first - second).max() > 1e-3, "two steps drop the same weights"
    same = harness.run(twin, {**many, "training": True}).output
    assert_close(same, first, "output with the same seed", 1e-6)
    if not NONLINEAR & {*harness.weight_names(layer)}:
        # Behind a decoder or a norm, the expectation is not preserved.
        noise = first.std(axis=0) / np.sqrt(copies)
        error = np.abs(first.mean(axis=0) - want[0])
        assert (error <= 5 * noise + 1e-4).all(), "dropout moves the expectation"


def dropout_drops_whole_weights(case):
    """Each weight is dropped or scaled by 1/(1 - rate), at the stated rate.

    Only for layers that project values to heads and mix them, and nothing more, so that
    the output shows the weights themselves.
    """
    rate, keys = 0.3, 4
    heads = {"num_heads": 1, "key_dim": keys, "value_dim": keys, "use_bias": False}
    call = {
        "query": normal(50, 9, keys, seed=70),
        "value": np.broadcast_to(np.eye(keys, dtype="float32"), (50, keys, keys)),
    }
    layer = case.make(**heads, dropout=rate, seed=3)
    layer.build(query_shape=(50, 9, keys), value_shape=(50, keys, keys))
    eye = np.eye(keys, dtype="float32")
    names = harness.weight_names(layer)
    # Values and the output projection are the identity: the output is the weights.
    names["value/kernel"].assign(eye[:, None, :])
    names["attention_output/kernel"].assign(eye[None])
    scores = harness.run(layer, {**call, **SCORES}).scores[:, 0]
    dropped = harness.run(layer, {**call, "training": True}).output
    kept = np.abs(dropped) > 1e-7
    assert_close(dropped[kept], scores[kept] / (1 - rate), "kept weights", 1e-3)
    assert abs(kept.mean() - (1 - rate)) < 0.05, f"{1 - kept.mean()} are dropped"


def dropout_has_its_own_gradient(case):
    """The gradient uses the same dropped weights as the output."""
    call = {**everything_for(case), "training": True}

    def output_at(shift):
        layer = harness.built(case, call, NOISE_SEED, dropout=0.4, seed=5)
        moved = {**call}
        for name, direction in directions.items():
            moved[name] = call[name] + shift * direction
        if not case.facts.cross_attention:
            moved["value"] = moved["query"]
        return (harness.run(layer, moved).output * cotangent).sum(dtype="float64")

    tensors, _ = harness.split(call, case.facts)
    directions = {
        name: normal(*x.shape, seed=80 + i)
        for i, (name, x) in enumerate(tensors.items())
    }
    layer = harness.built(case, call, NOISE_SEED, dropout=0.4, seed=5)
    shape = harness.run(
        harness.built(case, call, NOISE_SEED), {**call, "training": False}
    )
    cotangent = normal(*shape.output.shape, seed=81)
    got = harness.run_with_gradients(layer, call, cotangent)
    slope = sum((got.inputs[name] * d).sum() for name, d in directions.items())
    step = 1e-3
    expected = (output_at(step) - output_at(-step)) / (2 * step)
    size = sum(np.linalg.norm(g) for g in got.inputs.values())
    error = abs(slope - expected)
    assert error <= 2e-2 * size + 1e-2, f"slope {slope} is not {expected}"
