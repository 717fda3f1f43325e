"""Queries that see no key give 0."""

import numpy as np
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.checks.shared import SCORES
from keras_twa.testing.harness import assert_finite
from keras_twa.testing.scenarios import cross
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal


def masked_rows_give_zero(case):
    """A query without a visible key gives 0, whatever hides the keys."""
    batch, queries, keys = harness.BATCH, harness.QUERY_LENGTH, harness.KEY_LENGTH
    pairs = np.ones((batch, queries, keys), bool)
    pairs[1, 3] = False
    empty = np.zeros((batch, queries), bool)
    for call, rows in (
        (cross(attention_mask=pairs), ~pairs.any(-1)),
        (cross(value_mask=lengths_mask([0, 5], keys)), empty | [[True], [False]]),
        (cross(key_mask=lengths_mask([0, 5], keys)), empty | [[True], [False]]),
        (
            cross(query_mask=lengths_mask([7, 4], queries)),
            ~lengths_mask([7, 4], queries),
        ),
        (cross(use_causal_mask=True), empty | (np.arange(queries) < queries - keys)),
        (
            itself(query_mask=lengths_mask([7, 4], queries)),
            ~lengths_mask([7, 4], queries),
        ),
        (
            itself(value_mask=~lengths_mask([2, 3], queries), use_causal_mask=True),
            lengths_mask([2, 3], queries),
        ),
    ):
        if not case.takes(call):
            continue
        what = f"rows masked by {set(call) - set(harness.TENSORS)}"
        layer = harness.built(case, call)
        for name, variable in harness.weight_names(layer).items():
            # With zero biases, the layer maps zeros to zeros.
            if name.endswith(("bias", "beta")) and "temporal" not in name:
                variable.assign(ops.zeros(variable.shape))
        scored = harness.run(layer, {**call, **(SCORES if case.has_pairs else {})})
        cotangent = normal(*scored.output.shape, seed=41)
        got = harness.run_with_gradients(layer, call, cotangent)
        for output in (scored.output, got.output):
            assert_finite(output, what)
            assert not output[rows].any(), f"{what} are not 0: {output[rows]}"
            assert np.abs(output[~rows]).max() > 1e-3, f"{what}: all the others are 0"
        if case.has_pairs:
            unseen = np.broadcast_to(rows[:, None], scored.scores.shape[:3])
            assert not scored.scores[unseen].any(), f"{what} have weights"
        for name, gradient in got.gradients().items():
            assert_finite(gradient, f"gradient to {name} with {what}")
