"""The calls in which every layer must equal its reference."""

import contextlib
import importlib
from unittest import mock

import numpy as np

from keras_twa.testing.harness import BATCH
from keras_twa.testing.harness import HEADS
from keras_twa.testing.harness import KEY_LENGTH
from keras_twa.testing.harness import QUERY_LENGTH
from keras_twa.testing.harness import QUERY_WIDTH
from keras_twa.testing.harness import VALUE_WIDTH

ROUTES = ("default", "tiled")
# Modules of `keras_twa.ops.recurrent` that set the length of their chunks.
IN_CHUNKS = ("chunks", "gated_delta", "generalized_delta", "wkv")


@contextlib.contextmanager
def route(name, tile_elements=11):
    """Use the layer's own route, or force tiny tiles, and chunks of three steps."""
    if name == "default":
        yield
        return

    def module(name):
        return importlib.import_module(f"keras_twa.ops.{name}")

    backend = importlib.import_module("keras_twa.ops.backend")
    with contextlib.ExitStack() as patches:
        for place, constant, value in (
            *((f"recurrent.{file}", "CHUNK", 3) for file in IN_CHUNKS),
            ("recurrent.gated_linear", "SUBCHUNK", 2),
            ("recurrent.gated_linear", "STEPS_AT_ONCE", 2 * tile_elements),
            ("recurrent.subchunks", "SUBCHUNK", 3),
            ("recurrent.subchunks", "SCORES_AT_ONCE", 8 * tile_elements),
            ("softmax.block_sparse", "MOST_CAUSAL_WORK", 1.0),
            ("softmax.block_sparse", "MOST_WORK", 1.0),
            ("softmax.block_sparse", "SLICE_ELEMENTS", tile_elements),
            ("softmax.tile_keys", "LEAST_QUERIES", 1),
            ("softmax.tile_layout", "LEAST_KEYS", 2),
            ("softmax.tile_layout", "MOST_PARTS", 3),
            ("softmax.lsh", "SCORES_AT_ONCE", tile_elements),
            ("softmax.tiled", "LEAST_SPAN", 2),
            ("softmax.tile_loop", "TILE_ELEMENTS", tile_elements),
            ("softmax.tile_loop", "TILE_QUERIES", 1),
            ("backend", "KEY_SPAN", backend.KEY_SPAN and 2),
            ("backend", "fuses", mock.Mock(return_value=False)),
            ("backend", "flexes", mock.Mock(return_value=False)),
        ):
            patches.enter_context(mock.patch.object(module(place), constant, value))
        yield


def normal(*shape, seed=0, scale=1.0):
    """Return a float32 array of normal noise."""
    return np.random.default_rng(seed).normal(size=shape, scale=scale).astype("float32")


def cross(query_length=QUERY_LENGTH, key_length=KEY_LENGTH, batch=BATCH, **options):
    """Return a cross-attention call with different widths on the two sides."""
    return {
        "query": normal(batch, query_length, QUERY_WIDTH, seed=10),
        "value": normal(batch, key_length, VALUE_WIDTH, seed=11),
        **options,
    }


def itself(length=QUERY_LENGTH, batch=BATCH, **options):
    """Return a self-attention call."""
    x = normal(batch, length, QUERY_WIDTH, seed=12)
    return {"query": x, "value": x, **options}


def lengths_mask(lengths, size):
    """Return `(batch, size)` booleans, True for the first `lengths[b]` entries."""
    return np.arange(size)[None, :] < np.asarray(lengths)[:, None]


def random_mask(*shape, seed=0):
    """Return random booleans, about two thirds True."""
    return np.random.default_rng(seed).random(shape) < 0.67


def timestamps(*shape, seed=3):
    """Return increasing, uneven, real times."""
    gaps = np.random.default_rng(seed).exponential(size=shape)
    return np.cumsum(gaps, axis=-1).astype("float32")


def with_masked_row():
    """Return a random pairwise mask in which one query sees nothing."""
    pairs = random_mask(BATCH, QUERY_LENGTH, KEY_LENGTH, seed=5)
    pairs[1, 3] = False
    return pairs


def everything():
    """Return a call with all kinds of masks, timestamps, and rows that see nothing."""
    return cross(
        key=normal(BATCH, KEY_LENGTH, VALUE_WIDTH, seed=13),
        query_mask=lengths_mask([7, 6], QUERY_LENGTH),
        value_mask=lengths_mask([5, 3], KEY_LENGTH),
        attention_mask=with_masked_row(),
        use_causal_mask=True,
        query_positions=timestamps(BATCH, QUERY_LENGTH),
        key_positions=timestamps(KEY_LENGTH, seed=4),
    )


def everything_for(case):
    """Return a call with all options that the case's layer supports."""
    call = everything()
    if not case.has_pairs:
        del call["attention_mask"]
    if not case.facts.cross_attention:
        real = lengths_mask([7, 6], QUERY_LENGTH)
        call = itself(
            query_mask=real,
            value_mask=~lengths_mask([1, 2], QUERY_LENGTH),
            use_causal_mask=case.facts.causality != "never",
            query_positions=timestamps(BATCH, QUERY_LENGTH),
        )
    return call


def pair_of_lengths(case, query_length, key_length, **options):
    """Return a call with such lengths, or self-attention with the first one."""
    if case.facts.cross_attention:
        return cross(query_length, key_length, **options)
    return itself(query_length, **options)


def scenarios(case):
    """Return every scenario that the case's layer takes, by name."""
    found = {
        "self": itself(),
        "cross": cross(),
        "own key": cross(key=normal(BATCH, KEY_LENGTH, 4, seed=13)),
        "padded": itself(
            query_mask=lengths_mask([7, 4], QUERY_LENGTH),
            value_mask=lengths_mask([7, 4], QUERY_LENGTH),
        ),
        "padded causal": itself(
            value_mask=lengths_mask([5, 3], QUERY_LENGTH), use_causal_mask=True
        ),
        "left padded causal": itself(
            value_mask=~lengths_mask([2, 0], QUERY_LENGTH), use_causal_mask=True
        ),
        "key mask": cross(key_mask=random_mask(BATCH, KEY_LENGTH)),
        "both masks": cross(
            key_mask=random_mask(BATCH, KEY_LENGTH),
            value_mask=random_mask(BATCH, KEY_LENGTH, seed=1),
        ),
        "empty batch element": cross(value_mask=lengths_mask([0, 5], KEY_LENGTH)),
        "causal": itself(use_causal_mask=True),
        "causal, fewer keys": cross(use_causal_mask=True),
        "causal, more keys": cross(5, 7, use_causal_mask=True),
        "pairs": cross(attention_mask=with_masked_row()),
        "pairs, one row": cross(attention_mask=random_mask(BATCH, 1, KEY_LENGTH)),
        "pairs, one batch": cross(
            attention_mask=random_mask(1, QUERY_LENGTH, KEY_LENGTH)
        ),
        "pairs per head": cross(
            attention_mask=random_mask(BATCH, HEADS, QUERY_LENGTH, KEY_LENGTH)
        ),
        "pairs, any head": cross(
            attention_mask=random_mask(BATCH, 1, QUERY_LENGTH, KEY_LENGTH)
        ),
        "pairs causal": itself(
            attention_mask=random_mask(BATCH, QUERY_LENGTH, QUERY_LENGTH),
            use_causal_mask=True,
        ),
        "timestamps": cross(
            query_positions=timestamps(QUERY_LENGTH),
            key_positions=timestamps(BATCH, KEY_LENGTH, seed=4),
        ),
        "everything": everything_for(case),
    }
    if case.facts.causality == "never":
        found |= never_causal()
    return {name: call for name, call in found.items() if case.takes(call)}


def never_causal():
    """Return self-attention with all kinds of padding, and times, but not causal."""
    holes = random_mask(BATCH, QUERY_LENGTH, seed=3)
    return {
        "padding between": itself(query_mask=holes, value_mask=holes),
        "hidden keys": itself(value_mask=~lengths_mask([2, 0], QUERY_LENGTH)),
        "hidden queries and keys": itself(
            query_mask=lengths_mask([5, 6], QUERY_LENGTH), value_mask=holes
        ),
        "times of self-attention": itself(
            query_positions=timestamps(BATCH, QUERY_LENGTH)
        ),
    }
