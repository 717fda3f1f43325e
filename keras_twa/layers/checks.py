"""Checks of what users pass in: each raises a `ValueError` before any compute."""

import itertools
import math


def positive_integer(**arguments):
    """Each named argument is an integer above zero."""
    for name, value in arguments.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value <= 0:
            raise ValueError(
                f"`{name}` must be a positive integer. Received: {name}={value!r}"
            )


def positive_even_integer(**arguments):
    """Each named argument is an even integer above zero."""
    positive_integer(**arguments)
    for name, value in arguments.items():
        if value % 2:
            raise ValueError(f"`{name}` must be even. Received: {name}={value!r}")


def whole_number(**arguments):
    """Each named argument is an integer, zero or above."""
    for name, value in arguments.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < 0:
            raise ValueError(
                f"`{name}` must be an integer, zero or above. "
                f"Received: {name}={value!r}"
            )


def positive_number(**arguments):
    """Each named argument is a number above zero."""
    for name, value in arguments.items():
        if not isinstance(value, int | float) or not value > 0:
            raise ValueError(
                f"`{name}` must be a positive number. Received: {name}={value!r}"
            )


def probability(**arguments):
    """Each named argument is in [0, 1)."""
    for name, value in arguments.items():
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise ValueError(
                f"`{name}` must be a number in [0, 1). Received: {name}={value!r}"
            )


def one_of(choices, **arguments):
    """Each named argument is one of `choices`."""
    for name, value in arguments.items():
        if value not in choices:
            raise ValueError(
                f"`{name}` must be one of {list(choices)}. Received: {name}={value!r}"
            )


def discounts(given):
    """`given` is one or more discounts, each strictly between 0 and 1."""
    valid = isinstance(given, tuple | list) and len(given) > 0
    if not valid or not all(
        isinstance(gamma, int | float) and 0 < gamma < 1 for gamma in given
    ):
        raise ValueError(
            "`discounts` must be one or more numbers in (0, 1). "
            f"Received: discounts={given!r}"
        )


def lags(given):
    """`given` is one or more finite lags, from 0 on, each longer than the last."""
    valid = isinstance(given, tuple | list) and len(given) > 0
    valid = valid and all(
        isinstance(lag, int | float) and 0 <= lag < math.inf for lag in given
    )
    if not valid or any(b <= a for a, b in itertools.pairwise(given)):
        raise ValueError(
            "`lags` must be one or more rising numbers that are not negative. "
            f"Received: lags={given!r}"
        )


def output_dims(output_shape):
    """`output_shape` as a tuple of one to five positive integers, or `None`."""
    if output_shape is None:
        return None
    dims = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
    valid = all(isinstance(dim, int) and dim > 0 for dim in dims)
    if not valid or not 1 <= len(dims) <= 5:
        raise ValueError(
            "`output_shape` must be a positive integer or up to five of them. "
            f"Received: output_shape={output_shape!r}"
        )
    return dims


def input_shapes(query, value, key):
    """Shapes are `(B, T, F)`, `(B, S, F)`, `(B, S, F)` with known features."""
    named = {"query": query, "value": value, "key": key}
    for name, shape in named.items():
        if len(shape) != 3 or shape[-1] is None:
            raise ValueError(
                f"`{name}` must have shape (batch, length, features) with a known "
                f"number of features. Received: {name} of shape {tuple(shape)}"
            )
    if not (_agree(query[0], value[0]) and _agree(value[0], key[0])):
        raise ValueError(
            "`query`, `value` and `key` must have the same batch size. Received: "
            f"query of shape {tuple(query)}, value of shape {tuple(value)}, key of "
            f"shape {tuple(key)}"
        )
    if not _agree(value[1], key[1]):
        raise ValueError(
            "`value` and `key` must have the same length. Received: value of shape "
            f"{tuple(value)}, key of shape {tuple(key)}"
        )


def call_arguments(query, value, key, query_mask, value_mask, key_mask, pairs, heads):
    """Inputs fit one another, each mask its input, and mask heads one of `heads`."""
    input_shapes(query.shape, value.shape, key.shape)
    padding("query_mask", query_mask, query)
    padding("value_mask", value_mask, value)
    padding("key_mask", key_mask, key)
    if pairs is None:
        return
    expected = (query.shape[0], query.shape[1], key.shape[1])
    shape = tuple(pairs.shape)
    trimmed = (shape[0], *shape[2:]) if len(shape) == 4 else shape
    fits = len(trimmed) == 3 and _agree(trimmed[2], expected[2])
    fits = fits and (len(shape) == 3 or shape[1] in (None, 1, *heads))
    if not fits or not all(
        given == 1 or _agree(given, wanted)
        for given, wanted in zip(trimmed, expected, strict=True)
    ):
        raise ValueError(
            "`attention_mask` must have shape (batch, queries, keys) or (batch, "
            f"heads, queries, keys), here with {expected} and heads one of {heads}; "
            "all but the keys may be 1. "
            f"Received: attention_mask of shape {shape}"
        )


def facts(layer, itself, pairs, scores, causal):
    """A call asks nothing of a layer that it cannot do."""
    name = type(layer).__name__
    if not layer.pairwise_mask and pairs is not None:
        raise ValueError(
            f"{name} has no scores of pairs to mask: use `query_mask`, `value_mask`. "
            f"Received: attention_mask of shape {tuple(pairs.shape)}"
        )
    if not layer.pairwise_mask and scores:
        raise ValueError(
            f"{name} has no scores of pairs to return. "
            "Received: return_attention_scores=True"
        )
    if not layer.cross_attention and not itself:
        raise ValueError(
            f"{name} attends to its own sequence only. "
            "Received: a value or a key that is not the query"
        )
    if layer.causality == "never" and causal:
        raise ValueError(f"{name} cannot be causal. Received: use_causal_mask=True")


def no_dropout(layer, dropout):
    """A layer without attention weights is asked to drop none."""
    if dropout != 0:
        raise ValueError(
            f"{type(layer).__name__} has no attention weights to drop. "
            f"Received: dropout={dropout!r}"
        )


def has_states(layer):
    """A layer is one whose sequence may come in parts."""
    if not layer.prefix_invariant:
        name = type(layer).__name__
        raise ValueError(
            f"{name} has no states: which of the past a step sees depends on what is "
            f"to come, so it needs the whole sequence. Received: a call of {name} for "
            "or with a state"
        )


def built(layer):
    """A layer whose state holds inputs knows how wide they are."""
    if not layer.built:
        raise ValueError(
            "A state holds inputs: call or build the layer first, so that it knows "
            f"their width. Received: {layer.name}, which is not built"
        )


def streaming(layer, itself, causal, pairs):
    """A call that takes or returns a state is causal self-attention."""
    has_states(layer)
    if not itself:
        raise ValueError(
            "A state is for self-attention. "
            "Received: a value or a key that is not the query"
        )
    if not causal:
        raise ValueError(
            "A state is for causal attention: what is to come is not there yet. "
            "Received: use_causal_mask=False"
        )
    if pairs is not None:
        raise ValueError(
            "With a state, masks say which steps are real, not which pairs. "
            f"Received: attention_mask of shape {tuple(pairs.shape)}"
        )


def state(given, spec, batch):
    """A state is one that the layer, or one like it, made for the same batch size.

    Args:
        given: The state.
        spec: What `state_spec` of the layer says.
        batch: B, or `None`.
    """
    shapes = {
        name: tuple(x.shape)
        for name, x in (given.items() if isinstance(given, dict) else ())
        if name != "length"
    }
    expected = {
        name: (batch, *(size or None for size in slot.shape))
        for name, slot in spec.items()
        if name != "length"
    }
    fits = set(shapes) == set(expected)
    if not fits or not all(_fits(shapes[name], expected[name]) for name in expected):
        raise ValueError(
            "`initial_state` must be what `initial_state(batch_size)` of this layer "
            f"gives, or an earlier call returned: {expected}, where None is any size. "
            f"Received: {shapes or repr(given)}"
        )


def padding(name, mask, x):
    """A padding mask has the shape `(batch, length)` of its input."""
    if mask is not None and not _fits(mask.shape, x.shape[:2]):
        raise ValueError(
            f"`{name}` must have shape (batch, length) = {tuple(x.shape[:2])}. "
            f"Received: {name} of shape {tuple(mask.shape)}"
        )


def positions(name, given, x):
    """Positions, if any, have shape `(length,)` or `(batch, length)`."""
    if given is None:
        return
    shape = tuple(given.shape)
    if len(shape) == 1 and _agree(shape[0], x.shape[1]):
        return
    if len(shape) == 2 and (shape[0] == 1 or _agree(shape[0], x.shape[0])):
        if _agree(shape[1], x.shape[1]):
            return
    raise ValueError(
        f"`{name}` must have shape (length,) or (batch, length), here with "
        f"{tuple(x.shape[:2])}. Received: {name} of shape {shape}"
    )


def _fits(shape, expected):
    return len(shape) == len(expected) and all(
        _agree(a, b) for a, b in zip(shape, expected, strict=True)
    )


def _agree(a, b):
    """Two dimensions are equal, or one is not known yet."""
    return a is None or b is None or a == b
