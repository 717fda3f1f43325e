"""Performer: softmax attention estimated from random features."""

import random
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.masks import real_keys
from keras_twa.ops import performer_attention
from keras_twa.ops.packing import count
from keras_twa.ops.recurrent.log_linear import LEAST
from keras_twa.ops.recurrent.performer import orthogonal_features


@keras.saving.register_keras_serializable(package="keras_twa")
class PerformerAttention(RecurrentAttention):
    """Multi-head attention by FAVOR+, an estimate of softmax attention.

    Per head, `softmax(q . k / sqrt(D)) v` with `exp(q . k / sqrt(D))` replaced by the
    inner product of positive random features, `phi(x) = exp(w x' - |x'|^2 / 2)` for
    each of M directions `w`, where `x' = x / D^(1/4)`. Within groups of D, directions
    are orthogonal to one another.

    The estimate is good where logits are small, and its error falls as `1 / sqrt(M)`.
    The directions are drawn once, from `seed`, and saved with the weights; `redraw`
    draws new ones.

    Cost: O((T + S) M (C + D)) time with chunks of C steps, O(T + S) memory. Decoding
    holds M (D + 1) numbers per head, and takes the same time at every position.

    Args:
        num_features: Number M of random features. Defaults to `D log D`, as in the
            paper.
        seed: Seed of the directions. Defaults to a random seed, which
            `keras.utils.set_random_seed` makes reproducible.

    Returns:
        `(B, T, output_shape)`; with `return_state`, also the state, in float32:
        "memory" `(B, H, M, value_dim + 1)`, with each feature divided by its largest
        value so far, and "highest" `(B, H, M)`, the logarithms of these largest values;
        with rotary positions, also the number of real steps so far, "count" `(B,)`.

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
    packs = True
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
        """Draws new random directions, as the paper does from time to time in training.

        Args:
            seed: An integer.
        """
        self.directions.assign(self._draw(seed))

    def _draw(self, seed):
        rng = np.random.default_rng(seed)
        return orthogonal_features(self.key_dim, self.num_features, rng)

    def attend(self, call):
        held = call.state or {}
        output, memory, highest = performer_attention(
            call["query"],
            call["key"],
            call["value"],
            ops.convert_to_tensor(self.directions),
            call.mask,
            memory=held.get("memory"),
            highest=held.get("highest"),
        )
        found = {"memory": memory, "highest": highest}
        if self.turns and call.state is not None:
            real = real_keys(call.mask, *ops.shape(call["query"])[:2])
            found["count"] = call.state["count"] + count(real)
        return output, found

    @property
    def state_kind(self):
        shape = (self.num_heads, self.num_features, self.value_dim + 1)
        return RecurrentState(
            memory=Slot(shape, "float32"),
            highest=Slot(shape[:2], "float32", LEAST),
            # Rotary positions continue from this count.
            **({"count": Slot((), "int32")} if self.turns else {}),
        )

    def get_config(self):
        return {**super().get_config(), "num_features": self.num_features}
