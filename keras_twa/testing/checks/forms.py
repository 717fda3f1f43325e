"""Arguments may be nested lists, and inputs may have additional axes."""

import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import everything_for
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask


def takes_nested_lists(case):
    """Nested lists of numbers work like arrays, and masks `(T, S)` like `(1, T, S)`."""
    call = everything_for(case)
    layer = harness.built(case, call)
    want = harness.run(layer, call).output
    lists = {name: as_list(x) for name, x in call.items()}
    if call["value"] is call["query"]:
        lists["value"] = lists["query"]
    assert_close(harness.run(layer, lists).output, want, "a call with lists", 1e-6)
    if not case.has_pairs:
        return
    lengths = np.shape(call["query"])[1], np.shape(call["value"])[1]
    pairs = random_mask(*lengths, seed=4)
    want = harness.run(layer, {**call, "attention_mask": pairs[None]}).output
    for given in (pairs, pairs.tolist(), [[*row] for row in pairs.astype("float32")]):
        got = harness.run(layer, {**call, "attention_mask": given}).output
        assert_close(got, want, "a mask (queries, keys)", 1e-6)


def as_list(x):
    """Return an array as nested lists, and anything else unchanged."""
    return x.tolist() if isinstance(x, np.ndarray) else x


def folds_axes(case):
    """Attention along one axis equals attention to each sequence along it."""
    x, mask = normal(2, 3, 5, 6), random_mask(2, 3, 5)
    layer = harness.built(case, {"query": x}, attention_axes=2)
    output = layer(x, x, query_mask=mask, value_mask=mask)
    one = harness.built(case, {"query": x[:, 0]})
    for own, other in zip(one.variables, layer.variables, strict=True):
        own.assign(other.value)
    for row in range(3):
        real, steps = mask[:, row], x[:, row]
        want = one(steps, steps, query_mask=real, value_mask=real)
        got = harness.to_numpy(output)[:, row]
        assert_close(got, harness.to_numpy(want), "a row of the inputs")
