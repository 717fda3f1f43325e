"""Linear attention: a feature map instead of the softmax."""

import functools
from typing import ClassVar

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.ops import log_linear_attention
from keras_twa.ops.recurrent.feature_maps import FEATURE_MAPS
from keras_twa.ops.recurrent.feature_maps import LOG_FEATURE_MAPS
from keras_twa.ops.recurrent.log_linear import LEAST
from keras_twa.ops.recurrent.log_linear import logs_of


@keras.saving.register_keras_serializable(package="keras_twa")
class LinearAttention(RecurrentAttention):
    """Multi-head linear attention.

    Per head, with a feature map `phi`:
    `sum_j (phi(q_i) . phi(k_j)) v_j / sum_j (phi(q_i) . phi(k_j))`.

    The weights are never negative, as with a softmax, but seldom sharp. They need not
    be computed: the products of keys and values are summed, and each query is
    multiplied by the sum.

    Cost: O((T + S) D (C + D)) time with chunks of C steps, O(T + S) memory. Decoding
    holds D (D + 1) numbers per head, and takes the same time at every position.

    Args:
        feature_map: "elu_plus_one" (the paper's), "relu", "softplus", "squared_relu",
            or a function from float32 `(B, T, H, D)` to nonnegative features
            `(B, T, H, M)`. Defaults to "elu_plus_one".

    Returns:
        `(B, T, output_shape)`; with `return_state`, also the state, in float32:
        "memory" `(B, H, M, value_dim + 1)`, with each feature divided by its largest
        value so far, and "highest" `(B, H, M)`, the logarithms of these largest values.

    Raises:
        ValueError: If a size is not positive, the feature map is unknown, a shape does
            not fit, or attention scores are to be masked, dropped or returned.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import LinearAttention
    >>> layer = LinearAttention(num_heads=2, key_dim=8)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x, use_causal_mask=True).shape)
    (4, 10, 16)
    >>> output, state = layer.step(x[:, 0], layer.initial_state(4))
    >>> tuple(output.shape), tuple(state["memory"].shape)
    ((4, 16), (4, 2, 8, 9))

    Reference:
        [Katharopoulos et al., 2020](https://arxiv.org/abs/2006.16236)
    """

    linear_time = True
    packs = True
    search_space: ClassVar[dict] = {
        "feature_map": ("elu_plus_one", "relu", "softplus", "squared_relu")
    }

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        feature_map="elu_plus_one",
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        if not callable(feature_map):
            checks.one_of(tuple(FEATURE_MAPS), feature_map=feature_map)
        self.feature_map = FEATURE_MAPS.get(feature_map, feature_map)
        self._given_map = feature_map

    def attend(self, call):
        query, key = (
            self._log_features(ops.cast(call[name], "float32"))
            for name in ("query", "key")
        )
        state = call.state
        if state is not None:
            state = state["memory"], state["highest"]
        output, state = log_linear_attention(
            query, key, call["value"], call.mask, state
        )
        if state is None:
            return output, None
        return output, dict(zip(("memory", "highest"), state, strict=True))

    def _log_features(self, x):
        log_map = LOG_FEATURE_MAPS.get(self._given_map)
        return logs_of(self.feature_map(x)) if log_map is None else log_map(x)

    @functools.cached_property
    def num_features(self):
        """Number M of features that the feature map returns per head."""
        return self.feature_map(ops.zeros((1, 1, 1, self.key_dim))).shape[-1]

    @property
    def state_kind(self):
        shape = (self.num_heads, self.num_features, self.value_dim + 1)
        return RecurrentState(
            memory=Slot(shape, "float32"), highest=Slot(shape[:2], "float32", LEAST)
        )

    def get_config(self):
        given = keras.saving.serialize_keras_object(self._given_map)
        return {**super().get_config(), "feature_map": given}

    @classmethod
    def from_config(cls, config):
        given = config["feature_map"]
        if not isinstance(given, str):
            given = keras.saving.deserialize_keras_object(given)
        return cls(**{**config, "feature_map": given})
