"""Bad input raises a ValueError that shows it."""

import keras
import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.harness import HEADS
from keras_twa.testing.scenarios import cross
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import timestamps


def bad_calls(case):
    """Return calls that the case's layer must refuse, by name."""
    batch, queries, keys = harness.BATCH, harness.QUERY_LENGTH, harness.KEY_LENGTH
    ones = np.ones
    long = queries + 1
    with_itself = {
        "query_mask, too long": itself(query_mask=ones((batch, long), bool)),
        "value_mask, too long": itself(value_mask=ones((batch, long), bool)),
        "positions, too many": itself(query_positions=timestamps(long)),
        "positions of another batch": itself(
            query_positions=timestamps(batch + 1, queries)
        ),
    }
    if not case.facts.cross_attention:
        return {**with_itself, "another sequence": cross()}
    return with_itself | {
        "query of rank 2": {**cross(), "query": normal(batch, 6)},
        "value of rank 4": {**cross(), "value": normal(batch, keys, 3, 1)},
        "key of another length": cross(key=normal(batch, keys + 1, 3)),
        "value of another batch": {**cross(), "value": normal(batch + 1, keys, 3)},
        "query_mask of key length": cross(query_mask=ones((batch, keys), bool)),
        "value_mask of query length": cross(value_mask=ones((batch, queries), bool)),
        "key_mask of rank 3": cross(key_mask=ones((batch, keys, 1), bool)),
        "key_mask of another batch": cross(key_mask=ones((batch + 1, keys), bool)),
        "pairs of the wrong shape": cross(
            attention_mask=ones((batch, keys, queries), bool)
        ),
        "pairs of too many heads": cross(
            attention_mask=ones((batch, HEADS + 1, queries, keys), bool)
        ),
        "pairs of rank 5": cross(
            attention_mask=ones((batch, 1, 1, queries, keys), bool)
        ),
        "query positions of key length": cross(query_positions=timestamps(keys)),
        "key positions of query length": cross(key_positions=timestamps(queries)),
        "key positions of another batch": cross(
            key_positions=timestamps(batch + 1, keys)
        ),
        "positions of rank 3": cross(query_positions=ones((batch, queries, 1))),
    }


BAD_OPTIONS = {
    "no heads": {"num_heads": 0},
    "negative heads": {"num_heads": -1},
    "heads of a float": {"num_heads": 2.5},
    "no key width": {"key_dim": 0},
    "negative value width": {"value_dim": -3},
    "empty output": {"output_shape": 0},
    "empty output shape": {"output_shape": (4, 0)},
    "dropout of 1": {"dropout": 1.0},
    "dropout below 0": {"dropout": -0.1},
}


def refuses_bad_options(case, options):
    """A bad argument raises a ValueError that shows it, at construction."""
    assert_refused(lambda: case.make(**options))


def refuses_bad_call(case, call, name="a bad call"):
    """A bad call raises a ValueError that shows it, before anything is computed."""
    assert_refused(lambda: case.make()(**call), name)

    def symbolic():
        tensors, options = harness.split(call)
        tensors = {n: keras.KerasTensor(x.shape) for n, x in tensors.items()}
        options = {
            n: keras.KerasTensor(x.shape, dtype=str(x.dtype))
            if hasattr(x, "shape")
            else x
            for n, x in options.items()
        }
        case.make()(**tensors, **options)

    assert_refused(symbolic, name)


def assert_refused(action, name="bad input"):
    """Assert that `action` raises a ValueError that shows what it received."""
    try:
        action()
    except ValueError as error:
        assert "Received:" in str(error), f"{name}: the message shows no value: {error}"
    # Any other error is what this check is there to find.
    except Exception as error:
        kind = type(error).__name__
        raise AssertionError(f"{name}: {kind}, not ValueError: {error}") from error
    else:
        raise AssertionError(f"{name}: nothing was raised")
