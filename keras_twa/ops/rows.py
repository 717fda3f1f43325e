"""Reshapes tensors into rows: the pairs of a batch element and a head.

In kernels, queries are `(rows, T, ...)` and keys are `(rows, ..., S)`.
"""

from keras import ops


def as_queries(x, batch, heads):
    """`(B or 1, T, H or 1, ...)` to float32 `(B * H, T, ...)`."""
    x = ops.cast(x, "float32")
    _, length, _, *rest = ops.shape(x)
    x = ops.broadcast_to(x, (batch, length, heads, *rest))
    return ops.reshape(ops.swapaxes(x, 1, 2), (batch * heads, length, *rest))


def as_keys(x, batch, heads):
    """`(B or 1, S, H or 1, ...)` to float32 `(B * H, ..., S)`."""
    # Axes as tuples: PyTorch's `vmap` supports no other form.
    return ops.moveaxis(as_queries(x, batch, heads), (1,), (-1,))


def repeated(x, batch, heads):
    """`(B or 1, T)`, the same for all heads, to `(B * H, T)`."""
    length = ops.shape(x)[1]
    x = ops.broadcast_to(x[:, None], (batch, heads, length))
    return ops.reshape(x, (batch * heads, length))


def as_lags(x, batch):
    """`(H, T + S - 1)` to `(B * H, T + S - 1)`."""
    return ops.tile(x, (batch, 1))


def from_rows(x, batch, heads):
    """`(B * H, T, D)` to `(B, T, H, D)`."""
    _, length, dim = ops.shape(x)
    return ops.swapaxes(ops.reshape(x, (batch, heads, length, dim)), 1, 2)
