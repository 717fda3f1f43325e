"""Lets kernels take empty batches, queries and keys.

Filtered batches and streams can have B = 0, T = 0 or S = 0. A maximum is then not
defined, and there are no tiles to cut. So a kernel gets one row, query or hidden key
where there is none, and its results are cut to the requested sizes. Gradients pass
through both steps: they are zero, or empty. On TensorFlow this also works for sizes
that are known only when a graph runs.
"""

import dataclasses
import functools
import inspect

import keras
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import real_keys

# What arguments are filled with that 1 does not suit. No time is earlier.
FILLS = {"value": 0, "times": -1e30}


def takes_empty(queries=("query",), keys=("key", "value"), rows=()):
    """Lets a kernel take B = 0, T = 0 and S = 0.

    A query that sees no key gets an output of zero. A state is returned unchanged.

    Args:
        queries: Names of the arguments of shape `(B or 1, T, ...)`, or dictionaries of
            these. If there are none, T = S.
        keys: Names of the arguments of shape `(B or 1, S, ...)`, or dictionaries of
            these. One of them is "value".
        rows: Names of the arguments that hold the state, of shape `(B, ...)`, or
            dictionaries of these.
    """

    def decorate(kernel):
        names = tuple(inspect.signature(kernel).parameters)

        @functools.wraps(kernel)
        def call(*args, **kwargs):
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            if not {"value", *queries[:1]} <= given.keys():
                # Python's own error names the missing argument.
                return kernel(*args, **kwargs)
            batch, num_keys = ops.shape(given["value"])[:2]
            num_queries = _length(given[queries[0]]) if queries else num_keys
            if not any(map(_may_be_empty, (batch, num_queries, num_keys))):
                return kernel(*args, **kwargs)
            for name in (*queries, *keys):
                # Scores of ones are finite; scores of zeros may not be.
                number = FILLS.get(name, 1)
                given[name] = _filled(given.get(name), 0, 1, number=number)
            for name in rows:
                given[name] = _filled(given.get(name), 0)
            if given.get("pair_bias") is not None:
                given["pair_bias"] = _filled_bias(given["pair_bias"])
            if given.get("lags"):
                given["lags"] = _filled_lags(given["lags"], num_queries, num_keys)
            mask = given.get("mask") or AttentionMask()
            given["mask"] = _filled_mask(mask, batch, num_keys, bool(rows))
            results = kernel(**given)
            sizes = [{0: batch, 1: num_queries}]
            if given.get("return_weights"):
                sizes.append({0: batch, 2: num_queries, 3: num_keys})
            if not isinstance(results, tuple):
                return _cut(results, sizes[0])
            sizes += [{0: batch}] * (len(results) - len(sizes))
            return tuple(map(_cut, results, sizes))

        return call

    return decorate


def _may_be_empty(size):
    """Whether a size is 0, or a tensor whose value is not known yet."""
    return ops.is_tensor(size) or (isinstance(size, int) and size == 0)


def _missing(size):
    """How many entries an axis of this size lacks to have at least one."""
    if ops.is_tensor(size):
        return ops.maximum(1 - size, 0)
    return int(_may_be_empty(size))


def _length(x):
    x = next(iter(x.values())) if isinstance(x, dict) else x
    return ops.shape(x)[1]


def _longer(x, axis, count, number=0):
    """Appends `count` entries of a number to an axis of a tensor."""
    if isinstance(count, int) and count == 0:
        return x
    shape = [*ops.shape(x)]
    shape[axis] = count
    return ops.concatenate([x, ops.full(shape, number, x.dtype)], axis=axis)


def _filled(x, *axes, number=0):
    """The tensors of a nest, with one entry added to each empty axis."""

    def fill(x):
        if x is not None:
            x = ops.convert_to_tensor(x)
            for axis in axes:
                x = _longer(x, axis, _missing(ops.shape(x)[axis]), number)
        return x

    return keras.tree.map_structure(fill, x)


def _filled_bias(bias):
    """A `PairBias` for at least one query and key."""
    return dataclasses.replace(
        bias,
        query=_filled(bias.query, 0, 1, number=1),
        key=_filled(bias.key, 0, 1, number=1),
        on_keys=_filled(bias.on_keys, 0, 1),
    )


def _filled_lags(lags, num_queries, num_keys):
    """Tables `(H, T + S - 1)`, for at least one query and key."""
    length = num_queries + _missing(num_queries) + num_keys + _missing(num_keys) - 1
    return {name: _longer(x, 1, length - ops.shape(x)[1]) for name, x in lags.items()}


def _filled_mask(mask, batch, num_keys, has_state):
    """A mask for at least one row, query and key, which hides added keys."""
    keys = mask.keys
    # If the number of keys is not known yet, an added key does no harm, as its value is
    # zero. But a state would count it.
    is_empty = _may_be_empty(num_keys) and not ops.is_tensor(num_keys)
    if is_empty or (has_state and ops.is_tensor(num_keys)):
        keys = real_keys(mask, batch, num_keys)
    return AttentionMask(
        mask.causal,
        _filled(mask.queries, 0, 1),
        _filled(keys, 0, 1),
        _filled(mask.pairs, 0, 2, 3),
        _filled(mask.steps, 0, 1),
        _filled(mask.query_segments, 0, 1),
        _filled(mask.key_segments, 0, 1),
    )


def _cut(x, sizes):
    """Cuts the tensors of a nest along the axes whose sizes may be 0."""

    def cut(x):
        if x is None:
            return None
        axes = range(max(sizes) + 1)
        ends = (sizes.get(axis) for axis in axes)
        return x[tuple(slice(end if _may_be_empty(end) else None) for end in ends)]

    return keras.tree.map_structure(cut, x)
