"""Rows of different lengths in one batch: padding never counts as a step."""

import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.checks.streaming import in_parts
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import normal

LENGTH = 9
REAL_STEPS = (4, 7)
# The lengths of the parts, and the number of steps that a cache has room for.
PARTS = (((5, 4), None), ((2, 3, 1, 1, 1, 1), LENGTH))


def paddings():
    """Return masks `(2, LENGTH)` of such rows, by the place of their padding."""
    steps = np.arange(LENGTH)[None]
    lengths = np.array(REAL_STEPS)[:, None]
    between = np.ones((2, LENGTH), bool)
    between[0, [0, 2, 3, 6, 8]] = False
    between[1, [3, 4]] = False
    return {
        "behind": steps < lengths,
        "in front": steps >= LENGTH - lengths,
        "between": between,
    }


def ragged_rows_equal_each_alone(case, tolerance=2e-5):
    """A padded row gives the same outputs as alone, whole and in parts."""
    rows = [normal(1, n, harness.QUERY_WIDTH, seed=n) for n in REAL_STEPS]
    causal = {"use_causal_mask": case.facts.causality != "never"}
    layer = harness.built(case, {"query": rows[0], "value": rows[0]})
    alone = [
        case.expected(layer, {"query": row, "value": row, **causal})[0][0]
        for row in rows
    ]
    for name, mask in paddings().items():
        x = np.full((2, LENGTH, harness.QUERY_WIDTH), np.nan, "float32")
        for b, row in enumerate(rows):
            x[b, mask[b]] = row[0]
        call = {"query": x, "value": x, **causal}
        padded = {**call, "query_mask": mask, "value_mask": mask}
        found = {"whole": harness.run(layer, padded).output}
        for cuts, room in PARTS if case.facts.prefix_invariant else ():
            state = layer.initial_state(2, max_length=room)
            found[f"in parts of {cuts}"], _ = in_parts(layer, padded, cuts, state)
        for how, got in found.items():
            for b, expected in enumerate(alone):
                what = f"row {b}, padding {name}, {how}"
                assert_close(got[b, mask[b]], expected, what, tolerance)
