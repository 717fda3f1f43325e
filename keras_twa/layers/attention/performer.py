"""Performer: softmax attention estimated from random features."""

import random
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.streaming import Slot
from keras_twa.masks import real_keys
from keras_twa.ops import performer_attention
from keras_twa.ops.log_linear import LEAST
from keras_twa.ops.packing import count
from keras_twa.ops.performer import orthogonal_features


@keras.saving.register_keras_serializable(package="keras_twa")
class PerformerAttention(RecurrentAttention):
    """Multi-head attention by FAVOR+, an estimate of softmax attention.

    Per head, `softmax(q . k / sqrt(D)) v` with `exp(q . k / sqrt(D))` replaced by the
    inner product of positive random features, `phi(x) = exp(w x' - |x'|^2 / 2)` for
    each of M directions `w`, where `x' = x / D^(1/4)`. In blocks of D, directions are
    orthogonal to one another.

    The estimate is good where logits are small, and gets better with the root of M. The
    directions are drawn once, by `seed`, and saved with the weights; `redraw` draws
    others.

    Cost: O((T + S) M (C + D)) time with chunks of C steps, O(T + S) memory. Decoding
    holds M (D + 1) numbers per head, and takes as long at any position.

    Args:
        num_heads: Number of heads H.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`.
        dropout: Must be 0: there are no attention weights to drop.
        use_bias: Whether projections have a bias. Defaults to `True`.
        output_shape: Width (or shape) of the output. Defaults to the query's.
        num_features: Number M of random features. Defaults to `D log D`, as in the
            paper.
        kernel_initializer: Initializer of the projection kernels.
        bias_initializer: Initializer of the projection biases.
        kernel_regularizer: Regularizer of the projection kernels.
        bias_regularizer: Regularizer of the projection biases.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint on the projection kernels.
        bias_constraint: Constraint on the projection biases.
        seed: Seed of the directions. Defaults to a random one, which
            `keras.utils.set_random_seed` decides.
        positions: "rotary", or such a layer: positions inside of the attention.
            Defaults to `None`.
        attention_axes: The axes that are attended, of inputs with more than three; see
            `DotProductAttention`. Defaults to all but batch and features.

    Call arguments:
        query: `(B, T, F)`, or with further axes of lengths `(B, ..., F)`.
        value: `(B, S, F)`. Defaults to `query`: self-attention.
        key: `(B, S, F)`. Defaults to `value`.
        query_mask: Boolean `(B, T)`, `True` for real steps.
        value_mask: Boolean `(B, S)`.
        key_mask: Boolean `(B, S)`.
        attention_mask: Must be `None`: there are no scores of pairs to mask.
        return_attention_scores: Must be `False`, likewise.
        training: Not used here.
        use_causal_mask: Whether query `i` sees only keys `j <= i + S - T`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. For `positions` only,
            0 ... T-1 by default.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Likewise.
        initial_state: The state that a call or a step before this one returned, or
            `initial_state(B)`. Needs causal self-attention.
        return_state: Whether to return the state too.
        projected: What `project` made of a sequence, in the place of `value`, `key`,
            their masks and positions.

    Returns:
        `(B, T, output_shape)`; with `return_state`, that and the state, in float32:
        "memory" `(B, H, M, value_dim + 1)`, with each feature over its largest value so
        far, and "highest" `(B, H, M)`, the logarithms of those; and if queries turn,
        how many real steps there were, "count" `(B,)`.

    Raises:
        ValueError: If a size is not positive, a shape does not fit, or attention scores
            are to be masked, dropped or returned.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import PerformerAttention
    >>> layer = PerformerAttention(num_heads=2, key_dim=8, num_features=32, seed=1)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x, use_causal_mask=True).shape)
    (4, 10, 16)
    >>> layer.redraw(seed=2)

    Reference:
        [Choromanski et al., 2021](https://arxiv.org/abs/2009.14794)
    """

    rotary = True
    linear_time = True
    search_space: ClassVar[dict] = {"num_features": (None, 32, 128)}

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        num_features=None,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        if num_features is None:
            num_features = max(1, int(key_dim * np.log(key_dim)))
        checks.positive_integer(num_features=num_features)
        self.num_features = num_features

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        seed = random.randint(1, 10**9) if self.seed is None else self.seed
        self.directions = self.add_weight(
            shape=(self.key_dim, self.num_features),
            initializer=keras.initializers.Constant(self._draw(seed)),
            trainable=False,
            autocast=False,
            dtype="float32",
            name="directions",
        )

    def redraw(self, seed):
        """Draws other random directions, as the paper does now and then in training.

        Args:
            seed: An integer.
        """
        self.directions.assign(self._draw(seed))

    def _draw(self, seed):
        rng = np.random.default_rng(seed)
        return orthogonal_features(self.key_dim, self.num_features, rng)

    def recur(self, heads, mask, positions, state):
        held = state or {}
        output, memory, highest = performer_attention(
            heads["query"],
            heads["key"],
            heads["value"],
            ops.convert_to_tensor(self.directions),
            mask,
            memory=held.get("memory"),
            highest=held.get("highest"),
        )
        found = {"memory": memory, "highest": highest}
        if self.turns and state is not None:
            real = real_keys(mask, *ops.shape(heads["query"])[:2])
            found["count"] = state["count"] + count(real)
        return output, found

    def steps_before(self, state):
        return state["count"]

    def state_spec(self, dtype=None, max_length=None):
        shape = (self.num_heads, self.num_features, self.value_dim + 1)
        spec = {
            "memory": Slot(shape, "float32"),
            "highest": Slot(shape[:2], "float32", LEAST),
        }
        return {**spec, "count": Slot((), "int32")} if self.turns else spec

    def get_config(self):
        return {**super().get_config(), "num_features": self.num_features}
