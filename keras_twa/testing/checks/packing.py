"""A packed row equals its segments, each run alone."""

import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import assert_finite
from keras_twa.testing.scenarios import cross
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import timestamps

# Rows with padding in front, between and behind, segments of one step, and numbers that
# come again. Few lengths, as compilers take time for each.
SEGMENTS = np.array(
    [
        [3, 3, 3, 3, 3, 1, 2, 2, 2, 2, 2, 3, 0],
        [0, 5, 5, 0, 5, 5, 5, 0, 7, 7, 7, 7, 7],
    ],
    "int32",
)
# Keys in another order, some segments without keys and some without queries.
KEY_SEGMENTS = np.array([[2, 2, 0, 3, 3, 3, 4, 4], [5, 5, 5, 7, 7, 0, 8, 8]], "int32")


def packed_rows_equal_segments(case, poison=None, segments=SEGMENTS):
    """A packed row equals its segments alone, in values and in gradients.

    Args:
        case: The `Case`.
        poison: What one segment of each row of `SEGMENTS` holds, or `None`.
        segments: Integers `(B, T)`, 0 for padding.
    """
    batch, length = segments.shape
    times = {"query_positions": _restarted(timestamps(batch, length), segments)}
    for options in (
        {"use_causal_mask": False},
        {"use_causal_mask": True},
        {"use_causal_mask": case.facts.causality != "never", **times},
    ):
        call = itself(length, batch, **options)
        if not case.takes(call):
            continue
        layer = harness.built(case, call)
        # Without a value, whose gradient would otherwise be one of its own.
        del call["value"]
        x = call["query"].copy()
        x[segments == 0] = np.nan
        if poison is not None:
            x[0, :5] = x[1, 1:7] = poison
        parts = []
        for row, steps in _runs(segments):
            if np.isfinite(x[row, steps]).all():
                alone = {**call, "query": x[row : row + 1, steps]}
                if "query_positions" in call:
                    own = call["query_positions"][row : row + 1, steps]
                    alone["query_positions"] = own
                parts.append((alone, {"query": (row, steps)}))
        packed = {**call, "query": x, "segment_ids": segments}
        _equals_parts(layer, packed, parts, f"beside {poison}, {[*options]}")


def packed_rows_attend_across(case, poison):
    """In cross-attention, queries see the keys of the same segment only.

    Args:
        case: The `Case`.
        poison: What one segment of the keys of each row holds, or `None`.
    """
    batch, length = SEGMENTS.shape
    call = cross(length, KEY_SEGMENTS.shape[1], batch)
    layer = harness.built(case, call)
    query, value = call["query"].copy(), call["value"].copy()
    query[SEGMENTS == 0] = value[KEY_SEGMENTS == 0] = np.nan
    if poison is not None:
        value[0, :2] = value[1, :3] = poison
    parts = []
    for row in range(batch):
        for number in np.unique(SEGMENTS[row]):
            steps = np.flatnonzero(SEGMENTS[row] == number)
            keys = np.flatnonzero(KEY_SEGMENTS[row] == number)
            finite = np.isfinite(value[row, keys]).all()
            if number and finite and len(keys):
                alone = {
                    "query": query[row : row + 1, steps],
                    "value": value[row : row + 1, keys],
                    # Times are those of the whole rows.
                    "query_positions": steps.astype("float32"),
                    "key_positions": keys.astype("float32"),
                }
                parts.append((alone, {"query": (row, steps), "value": (row, keys)}))
    packed = {
        "query": query,
        "value": value,
        "segment_ids": SEGMENTS,
        "key_segment_ids": KEY_SEGMENTS,
    }
    _equals_parts(layer, packed, parts, f"across, beside {poison}")


def refuses_packed_rows(case):
    """A layer without packed rows refuses them."""
    call = itself(SEGMENTS.shape[1])
    layer = harness.built(case, call)
    try:
        layer(**call, segment_ids=SEGMENTS)
    except ValueError as error:
        assert "packed rows" in str(error), error
        return
    raise AssertionError(f"{type(layer).__name__} accepts `segment_ids`")


def _equals_parts(layer, packed, parts, what):
    """A packed call equals others together, which have some steps of its inputs.

    Args:
        layer: The layer.
        packed: The arguments of the packed call.
        parts: Pairs of the arguments of a call with one row, and the row and steps of
            each of its inputs.
        what: The description for an error.
    """
    shape = layer(**parts[0][0]).shape
    full = normal(*packed["query"].shape[:2], *shape[2:], seed=40)
    cotangent = np.zeros_like(full)
    for _, places in parts:
        cotangent[places["query"]] = full[places["query"]]
    got = harness.run_with_gradients(layer, packed, cotangent)
    in_inputs = {name: np.zeros_like(x) for name, x in got.inputs.items()}
    in_weights = {name: np.zeros_like(x) for name, x in got.weights.items()}
    for alone, places in parts:
        at = places["query"]
        one = harness.run_with_gradients(layer, alone, full[at][None])
        row, steps = at
        name = f"outputs {what}, row {row}, steps {steps.tolist()}"
        assert_close(got.output[at], one.output[0], name, 1e-5)
        for name, gradient in one.inputs.items():
            in_inputs[name][places[name]] += gradient[0]
        for name, gradient in one.weights.items():
            in_weights[name] += gradient
    for name, gradient in got.gradients().items():
        expected = {**in_inputs, **{f"weight {k}": v for k, v in in_weights.items()}}
        assert_finite(gradient, f"gradient to {name} {what}")
        assert_close(gradient, expected[name], f"gradient to {name} {what}")


def _runs(segments):
    """The row and the indices of the real steps of each segment."""
    for row, ids in enumerate(segments):
        steps = np.flatnonzero(ids)
        cuts = np.flatnonzero(np.diff(ids[steps])) + 1
        for part in np.split(steps, cuts):
            yield row, part


def _restarted(times, segments):
    """Times that begin again in each segment."""
    times = times.copy()
    for row, steps in _runs(segments):
        times[row, steps] -= times[row, steps[0]] - 0.5
    return times
