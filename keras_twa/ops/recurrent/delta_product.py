"""The gated delta rule with several writes per step: a product of Householder matrices.

Each write is one micro-step of the gated delta rule. Only the first one decays, and
only the last one is read.
"""

from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.ops.recurrent.gated_delta import gated_delta


def delta_product(query, key, value, mask, log_decay, rate, memory=None):
    """Computes `S_t^T q_t` after n writes to a decaying memory at each step.

    With `S_(t,0) = a_t S_(t-1)`, write m of n computes
    `S_(t,m) = (I - b k k^T) S_(t,m-1) + b k v^T` with its own `b`, `k` and `v`, and
    `S_t = S_(t,n)`. A padded step does not change `S`.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, T, H, n, D)`, of length 1 at most, finite wherever `mask` hides a key.
        value: `(B, T, H, n, E)`, finite likewise.
        mask: An `AttentionMask` without pairs; attention is always causal.
        log_decay: The logarithms of `a`, not positive, `(B, T, H, 1)`.
        rate: `b`, from 0 to 2, `(B, T, H, n)`.
        memory: Float32 `S` `(B, H, D, E)` after the earlier steps, or `None`.

    Returns:
        `(B, T, H, E)` in float32, and the memory after the last step.
    """
    batch, length, heads, count, width = ops.shape(value)
    unread = ops.zeros((*ops.shape(query)[:3], count - 1, query.shape[-1]), query.dtype)
    constant = ops.zeros((batch, length, heads, count - 1, 1), log_decay.dtype)
    keys, segments = (
        None if x is None else ops.repeat(x, count, axis=1)
        for x in (mask.keys, mask.key_segments)
    )
    output, memory = gated_delta(
        _in_order(ops.concatenate([unread, query[:, :, :, None]], axis=3)),
        _in_order(key),
        _in_order(value),
        AttentionMask(True, None, keys, query_segments=segments, key_segments=segments),
        _in_order(ops.concatenate([log_decay[..., None], constant], axis=3)),
        _in_order(rate[..., None]),
        memory,
    )
    output = ops.reshape(output, (batch, length, count, heads, width))[:, :, -1]
    return hide_padding(output, mask.queries), memory


def _in_order(x):
    """`(B, T, H, n, D)` to micro-steps `(B, T * n, H, D)`."""
    batch, length, heads, count, width = ops.shape(x)
    x = ops.transpose(x, (0, 1, 3, 2, 4))
    return ops.reshape(x, (batch, length * count, heads, width))
