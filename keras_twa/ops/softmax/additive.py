"""Additive attention: the score of a pair is a small network on query and key."""

from dataclasses import dataclass

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.softmax.tiled import tiled_attention


@takes_empty()
def additive_attention(
    query, key, value, vector, mask=None, dropout=None, return_weights=False
):
    """Computes `softmax(w . tanh(q_i + k_j)) v_j`.

    The score does not factorise, so a pair costs D hyperbolic tangents. Tiles have
    fewer pairs, and hold as many numbers as those of other scores.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        vector: w, `(H, D)`.
        mask: An `AttentionMask`, or `None`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, which requires holding O(T S D) numbers
            in memory.

    Returns:
        The output `(B, T, H, E)`, and with `return_weights` the weights
        `(B, H, T, S)` in float32, before dropout.
    """
    _, num_queries, heads, width = ops.shape(query)
    vector = ops.cast(vector, "float32")[None, None]
    vector = ops.broadcast_to(vector, (1, num_queries, heads, width))
    return tiled_attention(
        Additive(),
        {"query": query, "vector": vector},
        {"key": key},
        value,
        mask,
        dropout,
        return_weights,
        width=width,
    )


@dataclass(frozen=True)
class Additive:
    """`w . tanh(q + k)` for every pair; queries carry `w` as their `vector`."""

    def __call__(self, query, key):
        # tanh(x) = 1 - 2 sigmoid(-2 x), and PyTorch is twice as fast with the latter.
        near, far = -2.0 * query["query"], -2.0 * key["key"]
        # (g, t, D, 1) and (g, t or 1, D, S)
        far = backend.for_queries(far, ops.shape(near)[1])
        hidden = ops.sigmoid(near[..., None] + far)
        weighed = ops.matmul(query["vector"][..., None, :], hidden)[..., 0, :]
        return ops.sum(query["vector"], axis=-1, keepdims=True) - 2.0 * weighed
