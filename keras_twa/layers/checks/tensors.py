"""Checks of tensors: shapes that fit one another."""


def input_shapes(query, value, key):
    """Shapes are `(B, T, F)`, `(B, S, F)`, `(B, S, F)` with known features."""
    named = {"query": query, "value": value, "key": key}
    for name, shape in named.items():
        if len(shape) != 3 or shape[-1] is None:
            raise ValueError(
                f"`{name}` must have shape (batch, length, features) with a known "
                f"number of features. Received: {name} of shape {tuple(shape)}"
            )
    if not (same_size(query[0], value[0]) and same_size(value[0], key[0])):
        raise ValueError(
            "`query`, `value` and `key` must have the same batch size. Received: "
            f"query of shape {tuple(query)}, value of shape {tuple(value)}, key of "
            f"shape {tuple(key)}"
        )
    if not same_size(value[1], key[1]):
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
    fits = len(trimmed) == 3 and same_size(trimmed[2], expected[2])
    fits = fits and (len(shape) == 3 or shape[1] in (None, 1, *heads))
    if not fits or not all(
        given == 1 or same_size(given, wanted)
        for given, wanted in zip(trimmed, expected, strict=True)
    ):
        raise ValueError(
            "`attention_mask` must have shape (batch, queries, keys) or (batch, "
            f"heads, queries, keys), here with {expected} and heads one of {heads}; "
            "all but the keys may be 1. "
            f"Received: attention_mask of shape {shape}"
        )


def padding(name, mask, x):
    """A padding mask has the shape `(batch, length)` of its input."""
    if mask is not None and not same_shape(mask.shape, x.shape[:2]):
        raise ValueError(
            f"`{name}` must have shape (batch, length) = {tuple(x.shape[:2])}. "
            f"Received: {name} of shape {tuple(mask.shape)}"
        )


def positions(name, given, x):
    """Positions, if any, have shape `(length,)` or `(batch, length)`."""
    if given is None:
        return
    shape = tuple(given.shape)
    if len(shape) == 1 and same_size(shape[0], x.shape[1]):
        return
    if len(shape) == 2 and (shape[0] == 1 or same_size(shape[0], x.shape[0])):
        if same_size(shape[1], x.shape[1]):
            return
    raise ValueError(
        f"`{name}` must have shape (length,) or (batch, length), here with "
        f"{tuple(x.shape[:2])}. Received: {name} of shape {shape}"
    )


def times_of_both(query_positions, key_positions):
    """Keys of another sequence than the queries' have times if the queries have."""
    if query_positions is not None and key_positions is None:
        raise ValueError(
            "The value is another tensor than the query, so `query_positions` do not "
            "say when its steps were: give `key_positions`, too. (In self-attention, "
            "leave out the value, or pass the query itself.) Received: "
            f"query_positions of shape {tuple(query_positions.shape)}, "
            "key_positions=None"
        )


def labels(given, predictions):
    """Labels are `(B, T)` where predictions are `(B, T, V)`."""
    if len(given.shape) != 2 or not same_shape(given.shape, predictions.shape[:-1]):
        raise ValueError(
            "Labels must have shape (batch, length), and predictions (batch, length, "
            f"classes). Received: labels of shape {tuple(given.shape)}, predictions of "
            f"shape {tuple(predictions.shape)}"
        )


def sample_weight(given, labels):
    """Sample weights are `(B,)`, `(B, 1)` or `(B, T)` where labels are `(B, T)`."""
    shape = tuple(given.shape)
    trimmed = (*shape, 1) if len(shape) == 1 else shape
    if len(trimmed) != 2 or not all(
        size == 1 or same_size(size, wanted)
        for size, wanted in zip(trimmed, labels.shape, strict=True)
    ):
        raise ValueError(
            "`sample_weight` must have shape (batch,), (batch, 1) or (batch, length), "
            f"here with {tuple(labels.shape)}. "
            f"Received: sample_weight of shape {shape}"
        )


def same_shape(shape, expected):
    """Two shapes are equal, as far as they are known."""
    return len(shape) == len(expected) and all(
        same_size(a, b) for a, b in zip(shape, expected, strict=True)
    )


def same_size(a, b):
    """Two dimensions are equal, or one is not known yet."""
    return a is None or b is None or a == b
