"""Dot-product attention, the conventional baseline, and its common variants."""

import functools

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.matching import Matching
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import Projection
from keras_twa.ops import dot_product_attention
from keras_twa.ops import near_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class DotProductAttention(PairAttention):
    """Multi-head dot-product attention.

    Per head: `softmax(Q K^T / sqrt(D)) V`, or with another `score`.

    With the same weights, it computes the same as `keras.layers.MultiHeadAttention`,
    except that memory is linear in the length on every backend, a query without any
    visible key gives 0 instead of the mean of all values, and padding cannot affect the
    output, even if it holds NaN.

    The other options come from later models and can be combined freely. All but
    `logit_soft_cap` keep using the fused kernel.

    Cost: O(T S D) time, O(T + S) memory.

    Args:
        score: The logits of the softmax. "scaled_dot": `q . k / sqrt(D)`. "dot":
            `q . k` (Luong's "dot"). "cosine": `exp(s) cos(q, k)` with a learned `s` for
            each head, initially log 10. "bilinear": `q W k` with a learned matrix `W`
            for each head (Luong's "general"). Defaults to "scaled_dot".
        num_key_value_heads: Number of heads of keys and values, each shared by the same
            number of query heads: grouped-query attention, or with 1, multi-query
            attention. A state holds only these heads. Defaults to `num_heads`.
        qk_norm: Whether the queries and keys of each head are normalised first, to a
            root mean square of 1 times a learned scale for each channel. Defaults to
            `False`.
        sinks: Whether each head has an attention sink: an extra key with a learned
            logit and no value, so that a query need not attend to anything. Returned
            weights leave it out, so they add up to less than 1. Defaults to `False`.
        logit_soft_cap: Bounds each score `x` as `cap * tanh(x / cap)`. Defaults to
            `None`: no bound.
        gated: Whether the output of each head is multiplied by `sigmoid(x W_G)`, with
            the query `x`. Defaults to `False`.
        sliding_window: Number of steps that a query sees, counting itself and earlier
            steps, and as many ahead unless the call is causal: keys with
            `|i - j| < sliding_window`. Padded steps count. Self-attention then takes
            O(T sliding_window D) time, unless weights are dropped, returned, or masked
            pair by pair. Defaults to `None`: all keys.
        flash_attention: With `None`, a call uses the fastest kernel. With `False`, it
            does not use the backend's own fused kernel. With `True`, dropout and
            returned scores raise an error, as in Keras: no call holds the scores of all
            pairs. Defaults to `None`.
        use_gate: Keras's name for `gated`.
        kernel_initializer: Initializer of the projection kernels and of `W`.
        kernel_regularizer: Regularizer of the projection kernels and of `W`.
        kernel_constraint: Constraint on the projection kernels and on `W`.

    Raises:
        ValueError: If an argument is not one of its choices, a size is not positive,
            `num_key_value_heads` does not divide `num_heads`, a shape does not fit, or
            a state is requested with a `sliding_window`.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import DotProductAttention
    >>> layer = DotProductAttention(num_heads=4, key_dim=8, num_key_value_heads=2)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x, use_causal_mask=True).shape)
    (4, 10, 16)

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762). Scores:
        [Luong et al., 2015](https://arxiv.org/abs/1508.04025),
        [Liu et al., 2022](https://arxiv.org/abs/2111.09883) ("cosine"). Heads:
        [Ainslie et al., 2023](https://arxiv.org/abs/2305.13245). Norms:
        [Henry et al., 2020](https://arxiv.org/abs/2010.04245),
        [Dehghani et al., 2023](https://arxiv.org/abs/2302.05442). Sinks:
        [Xiao et al., 2024](https://arxiv.org/abs/2309.17453),
        [OpenAI, 2025](https://arxiv.org/abs/2508.10925). Soft cap:
        [Gemma Team, 2024](https://arxiv.org/abs/2408.00118). Gate:
        [Qiu et al., 2025](https://arxiv.org/abs/2505.06708).
    """

    rotary = True
    position_bias = True

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        score="scaled_dot",
        num_key_value_heads=None,
        qk_norm=False,
        sinks=False,
        logit_soft_cap=None,
        gated=False,
        sliding_window=None,
        flash_attention=None,
        **kwargs,
    ):
        gated = _gated(gated, kwargs.pop("use_gate", None))
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        if num_key_value_heads is None:
            num_key_value_heads = num_heads
        checks.grouped_heads(num_heads, num_key_value_heads)
        checks.boolean(sinks=sinks, gated=gated)
        if sliding_window is not None:
            checks.positive_integer(sliding_window=sliding_window)
        checks.one_of((None, True, False), flash_attention=flash_attention)
        if flash_attention:
            checks.no_flash_with("Dropout", dropout=dropout)
        if logit_soft_cap is not None:
            checks.positive_number(logit_soft_cap=logit_soft_cap)
        self.num_key_value_heads = num_key_value_heads
        self.sinks = sinks
        self.logit_soft_cap = logit_soft_cap
        self.gated = gated
        self.sliding_window = sliding_window
        self.flash_attention = flash_attention
        self.matching = Matching(
            num_heads,
            score,
            qk_norm,
            self._dense_options,
            dtype=self.dtype_policy,
            name="matching",
        )

    def projections(self):
        few = self.num_key_value_heads
        found = (
            Projection("query", "query", self.num_heads, self.key_dim),
            Projection("key", "key", few, self.key_dim),
            Projection("value", "value", few, self.value_dim),
        )
        if not self.gated:
            return found
        return (*found, Projection("gate", "query", self.num_heads, self.value_dim))

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.matching.build(
            (None, None, self.num_heads, self.key_dim),
            (None, None, self.num_key_value_heads, self.key_dim),
        )
        self.sink_logits = None
        if self.sinks:
            self.sink_logits = self.add_weight(
                shape=(self.num_heads,),
                initializer="zeros",
                autocast=False,
                name="sink_logits",
            )

    def match(self, heads):
        query, key = self.matching(heads["query"], heads["key"])
        return {**heads, "query": query, "key": key}

    def mix(self, call):
        outputs, weights, state = super().mix(call)
        if self.gated:
            outputs = outputs * ops.sigmoid(call["gate"])
        return outputs, weights, state

    def attend(self, call):
        group = self.num_heads // self.num_key_value_heads
        if group > 1:
            repeated = {
                name: ops.repeat(call[name], group, axis=2) for name in ("key", "value")
            }
            call = call.replace(heads={**call.heads, **repeated})
        attend = dot_product_attention
        if self.sliding_window is not None:
            attend = functools.partial(near_attention, window=self.sliding_window)
        return attend(
            call["query"],
            call["key"],
            call["value"],
            mask=call.mask,
            scale=None if self.matching.score == "scaled_dot" else 1.0,
            dropout=call.dropout,
            return_weights=call.return_weights,
            sink=self.sink_logits,
            cap=self.logit_soft_cap,
            pair_bias=self.pair_bias(call),
            fused=self.flash_attention is not False,
        )

    @property
    def state_kind(self):
        if self.sliding_window is not None:
            raise ValueError(
                "States are not supported with a `sliding_window`: use "
                "`LocalAttention`, whose states hold only its `window`. "
                f"Received: a state, and sliding_window={self.sliding_window}"
            )
        return super().state_kind

    def check_call(self, arguments):
        if self.flash_attention:
            checks.no_flash_with(
                "Returning attention scores",
                return_attention_scores=arguments.return_scores,
            )

    def get_config(self):
        return {
            **super().get_config(),
            "score": self.matching.score,
            "num_key_value_heads": self.num_key_value_heads,
            "qk_norm": self.matching.qk_norm,
            "sinks": self.sinks,
            "logit_soft_cap": self.logit_soft_cap,
            "gated": self.gated,
            "sliding_window": self.sliding_window,
            "flash_attention": self.flash_attention,
        }

    @classmethod
    def from_config(cls, config):
        """Creates a layer from its config, or from the config of a Keras layer.

        Args:
            config: The result of `get_config` of this layer, of
                `keras.layers.MultiHeadAttention` or of
                `keras.layers.GroupQueryAttention`.
        """
        names = {"head_dim": "key_dim", "num_query_heads": "num_heads"}
        return super().from_config({names.get(k, k): x for k, x in config.items()})


def _gated(gated, use_gate):
    """The value of `gated`, which Keras calls `use_gate`."""
    if use_gate is None:
        return gated
    checks.boolean(gated=gated, use_gate=use_gate)
    if gated and not use_gate:
        raise ValueError(
            "`use_gate` is Keras's name for `gated`: pass only one of them. "
            f"Received: gated={gated}, use_gate={use_gate}"
        )
    return use_gate
