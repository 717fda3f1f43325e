"""ALiBi: scores that decrease with the lag."""

import math

import keras
from keras import ops

from keras_twa.layers.positions.bias import PositionBias
from keras_twa.ops import PairBias
from keras_twa.ops import times_of
from keras_twa.ops.softmax.biases import LagPenalty

# As a bias on the keys, a larger total penalty would lose precision.
MOST_BIAS = 2048.0


@keras.saving.register_keras_serializable(package="keras_twa")
class ALiBiPositions(PositionBias):
    """Subtracts `m_h |t_i - t_j|` from the score of query `i` and key `j` (ALiBi).

    The slopes `m_h` of H heads are `2^(-8 / H), 2^(-16 / H), ..., 2^-8` if H is a power
    of 2. Otherwise, the first heads have the slopes for the next lower power of 2, and
    the rest have every other slope for the next higher one, as in the paper's code.
    Nothing is learned. The layer is for the `positions` of an attention layer, not for
    the input of a model.

    In a causal call with steps 0, 1, 2, ..., it becomes a bias on the keys, which costs
    the fused kernel one more channel. With other times, or in calls that are not
    causal, scores are computed tile by tile.

    Args:
        **kwargs: Arguments of every Keras layer, such as `name`.

    Call arguments:
        query: `(B, T, H, D)`; only its shape is used.
        key: `(B, S, H, D)`, likewise. Defaults to `query`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. Defaults to
            0 ... T-1.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Defaults to those of the
            queries if `key` is not given, else to 0 ... S-1.

    Returns:
        The bias, `(B, H, T, S)` in float32.

    Raises:
        ValueError: If the attention layer that it is passed to does not support it.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import ALiBiPositions, DotProductAttention
    >>> layer = DotProductAttention(num_heads=2, key_dim=8, positions="alibi")
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, use_causal_mask=True).shape)
    (4, 10, 16)
    >>> bias = ALiBiPositions()(np.ones((1, 3, 2, 8), "float32"))
    >>> [float(x) for x in bias[0, 0, 2, :2]]
    [-0.125, -0.0625]

    Reference:
        [Press et al., 2022](https://arxiv.org/abs/2108.12409)
    """

    def pair_bias(self, query, key, query_times, key_times):
        heads, num_queries = query.shape[2], ops.shape(query)[1]
        given = slopes(heads)
        on_keys = None
        if query_times is None and key_times is None:
            on_keys = self._on_keys(query, key, given)
        query_times = times_of(query_times, num_queries)
        key_times = times_of(key_times, ops.shape(key)[1])
        slope = ops.convert_to_tensor(given, dtype="float32")
        return PairBias(
            LagPenalty(),
            {
                "time": query_times[..., None],
                "slope": ops.broadcast_to(slope, (1, num_queries, heads)),
            },
            {"time": key_times[..., None]},
            on_keys,
        )

    def _on_keys(self, query, key, given):
        """The penalty as a bias on the keys, or `None` if it cannot be one."""
        steps, heads = query.shape[1], query.shape[2]
        if steps is None or steps != key.shape[1] or heads != key.shape[2]:
            return None
        if max(given) * steps > MOST_BIAS:
            return None
        # Centred, to keep the largest number small.
        times = ops.arange(0, steps, dtype="float32") - (steps - 1) / 2
        return times[None, :, None] * ops.convert_to_tensor(given, dtype="float32")


def slopes(heads):
    """The slopes of the paper, one for each head."""
    power = 2 ** math.floor(math.log2(heads))
    found = [2.0 ** (-8 * (head + 1) / power) for head in range(power)]
    if power == heads:
        return found
    # The slopes for twice as many heads that are not in the list yet.
    between = [2.0 ** (-4 * (head + 1) / power) for head in range(0, 2 * power, 2)]
    return found + between[: heads - power]
