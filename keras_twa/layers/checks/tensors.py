"""Checks of the shapes of tensors."""


def ranks(query, value, key):
    """Checks that shapes have the same rank, at least 3, and known features."""
    named = {"query": query, "value": value, "key": key}
    if not len(query) == len(value) == len(key):
        raise ValueError(
            "`query`, `value` and `key` must have the same number of axes. "
            f"Received: {_shapes(named)}"
        )
    for name, shape in named.items():
        if len(shape) < 3 or shape[-1] is None:
            raise ValueError(
                f"`{name}` must have shape (batch, length, features), or several axes "
                "of lengths, with a known number of features. "
                f"Received: {name} of shape {tuple(shape)}"
            )


def sequence(name, x):
    """Checks that an input is a sequence, without additional axes of lengths."""
    if len(x.shape) != 3:
        raise ValueError(
            f"`{name}` must have shape (batch, length, features). "
            f"Received: {name} of shape {tuple(x.shape)}"
        )


def input_shapes(query, value, key, shared=(0,)):
    """Checks that shapes are `(B, ..., F)` and fit one another.

    Args:
        query: Shape of the query.
        value: Shape of the value.
        key: Shape of the key.
        shared: The axes that are not attended over, the batch first.
    """
    ranks(query, value, key)
    named = {"query": query, "value": value, "key": key}
    for axis in shared:
        first, second, third = query[axis], value[axis], key[axis]
        if not (same_size(first, second) and same_size(second, third)):
            what = f"size along axis {axis}" if axis else "batch size"
            raise ValueError(
                f"`query`, `value` and `key` must have the same {what}. "
                f"Received: {_shapes(named)}"
            )
    if not same_shape(value[1:-1], key[1:-1]):
        raise ValueError(
            "`value` and `key` must have the same length. "
            f"Received: {_shapes({'value': value, 'key': key})}"
        )


def call_arguments(query, value, key, query_mask, value_mask, key_mask):
    """Checks that inputs fit one another, and each mask fits its input."""
    input_shapes(query.shape, value.shape, key.shape)
    padding("query_mask", query_mask, query)
    padding("value_mask", value_mask, value)
    padding("key_mask", key_mask, key)


def pairs(mask, shared, heads, queries, keys):
    """Checks that each size of a mask of pairs fits or is 1.

    Args:
        mask: The mask.
        shared: Sizes of the batch and of the other axes that are not attended over.
        heads: The numbers of heads that fit.
        queries: Sizes of the axes of queries.
        keys: Sizes of the axes of keys.
    """
    shape, ends = tuple(mask.shape), (*queries, *keys)
    before = len(shape) - len(ends)
    fits = 0 <= before <= len(shared) + 1
    pairs = [*zip(shape, shared, strict=False)][: max(before, 0)]
    pairs += zip(shape[max(before, 0) :], ends, strict=False)
    fits = fits and all(given == 1 or same_size(given, size) for given, size in pairs)
    if before > len(shared):
        fits = fits and shape[len(shared)] in (None, 1, *heads)
    if not fits:
        others = ", ..." if len(shared) > 1 else ""
        raise ValueError(
            f"`attention_mask` must have shape (queries, keys), (batch{others}, "
            f"queries, keys) or (batch{others}, heads, queries, keys), here with "
            f"batch{others} = {_listed(shared)}, heads one of {heads}, queries = "
            f"{_listed(queries)} and keys = {_listed(keys)}; each size may be 1. "
            f"Received: attention_mask of shape {shape}"
        )


def padding(name, mask, x):
    """Checks that a padding mask has the shape `(batch, length)` of its input."""
    if mask is not None and not same_shape(mask.shape, x.shape[:-1]):
        raise ValueError(
            f"`{name}` must have shape (batch, length) = {tuple(x.shape[:-1])}. "
            f"Received: {name} of shape {tuple(mask.shape)}"
        )


def positions(name, given, x, axes=None):
    """Checks that positions, if any, have shape `(length,)` or `(batch, length)`.

    Args:
        name: Name of the argument.
        given: The positions, or `None`.
        x: The input they are for.
        axes: Its attended axes, if it may have several. The sizes of other axes, such
            as the batch, may be 1.
    """
    if given is None:
        return
    shape, sizes = tuple(given.shape), tuple(x.shape[:-1] if axes else x.shape[:2])
    axes = axes or (1,)
    lengths = tuple(sizes[axis] for axis in axes)
    if same_shape(shape, lengths):
        return
    if len(shape) == len(sizes) and all(
        same_size(one, size) or (one == 1 and axis not in axes)
        for axis, (one, size) in enumerate(zip(shape, sizes, strict=True))
    ):
        return
    raise ValueError(
        f"`{name}` must have shape (length,) or (batch, length), here {lengths} or "
        f"{sizes}. Received: {name} of shape {shape}"
    )


def times_of_both(query_positions, key_positions):
    """Checks that keys have times if the queries have."""
    if query_positions is not None and key_positions is None:
        raise ValueError(
            "The value is another tensor than the query, so `query_positions` are not "
            "the times of its steps: pass `key_positions` too. (In self-attention, "
            "leave out the value, or pass the query itself.) Received: "
            f"query_positions of shape {tuple(query_positions.shape)}, "
            "key_positions=None"
        )


def labels(given, predictions):
    """Checks that labels are `(B, T)` for predictions `(B, T, V)`."""
    if len(given.shape) != 2 or not same_shape(given.shape, predictions.shape[:-1]):
        raise ValueError(
            "Labels must have shape (batch, length), and predictions (batch, length, "
            f"classes). Received: labels of shape {tuple(given.shape)}, predictions of "
            f"shape {tuple(predictions.shape)}"
        )


def sample_weight(given, labels):
    """Checks that weights are `(B,)`, `(B, 1)` or `(B, T)` for labels `(B, T)`."""
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
    """Whether two shapes are equal, as far as they are known."""
    return len(shape) == len(expected) and all(
        same_size(a, b) for a, b in zip(shape, expected, strict=True)
    )


def same_size(a, b):
    """Whether two sizes are equal, or one of them is unknown."""
    return a is None or b is None or a == b


def _shapes(named):
    return ", ".join(f"{name} of shape {tuple(x)}" for name, x in named.items())


def _listed(sizes):
    """A single size as a number, several as a tuple."""
    return sizes[0] if len(sizes) == 1 else tuple(sizes)
