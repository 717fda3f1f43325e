"""RWKV: a recurrent network that trains like attention."""

import math
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.low_rank import LowRank
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops import generalized_delta_rule
from keras_twa.ops import previous_real
from keras_twa.ops import wkv
from keras_twa.ops.recurrent.subchunks import NOTHING

# The initial share of the step itself, as opposed to the step before, in each mixed
# input: in channel c of F, (c / F) to this power. As in the first layer of the papers'
# models.
SHIFT_POWERS = {
    4: {"query": 0.5, "key": 1.0, "value": 1.0},
    7: {
        "query": 0.2,
        "key": 0.7,
        "value": 0.7,
        "decay": 0.9,
        "rate": 0.9,
        "gate": 0.2,
    },
}
# The activation inside each low-rank map.
LOW_RANK = {"decay": "tanh", "rate": "linear", "gate": "sigmoid"}


@keras.saving.register_keras_serializable(package="keras_twa")
class RWKVAttention(RecurrentAttention):
    """The time mixing of RWKV, version 4 or 7.

    The input of each step is first mixed with that of the real step before it, in
    learned proportions (token shift). Version 4, per channel, with `w = exp(decay)`:
    `sigmoid(q_i)` times `(sum_j e^(k_j - (i - 1 - j) w) v_j + e^(u + k_i) v_i)`, for
    `j < i`, divided by the same sum without the `v`. Version 7, per head: `q_i M_i`
    with `M_i = diag(w_i) M_(i-1) - (a_i c_i)^T (c_i M_(i-1)) + k_i^T v_i`, normalised
    and gated.

    In version 7, low-rank maps compute the decays `w_i`, the rates `a_i` and the gate
    `g_i` from the input. The removal key is `c_i`, the direction of `xi k_i`, and the
    key that is written is `k_i (1 + alpha (a_i - 1))`. The output is
    `g_i (norm(q_i M_i) + (q_i . (rho k_i)) v_i)`. In the paper, the values of a layer
    are averaged with those of the first layer. This is left out, as a layer does not
    have access to other layers.

    It is causal, whether `use_causal_mask` is set or not. One call, chunks and single
    steps give the same outputs. Padding leaves the state unchanged.

    Cost: version 4 O(T H D) time and memory, version 7 O(T H D (C + D)) time with
    chunks of C steps, O(T) memory. Decoding holds 3 D numbers per head in version 4,
    D value_dim in version 7, and one input.

    Args:
        num_heads: Number of heads H. In version 4, only H times `key_dim` matters: the
            number of channels.
        key_dim: Width D of each head's queries (the paper's receptances) and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`, and must be equal
            to it in version 4.
        use_bias: Whether the projections of queries, keys, values and outputs have a
            bias (the papers' do not). Defaults to `True`.
        version: 4 or 7. Defaults to 4.
        rank: Width inside the low-rank maps, for version 7. Defaults to the paper's,
            which grow with the width F of the input: a multiple of 32 near `1.8 F^0.5`,
            and near `0.6 F^0.8` for the gate.
        epsilon: Added to the variance of each head's output, in version 7. Defaults to
            64e-5.

    Call arguments:
        query_positions: Times of the steps, `(T,)` or `(B, T)`. Not used here: decay is
            per real step, not by time.

    Returns:
        `(B, T, output_shape)`; with `return_state`, also the state: "last_input"
        `(B, F)`, and in float32 "sums" `(B, 2, H, D)` and "maximum" `(B, H, D)` in
        version 4, "memory" `(B, H, D, value_dim)` in version 7.

    Raises:
        ValueError: If a size is not positive, the version is unknown, an option does
            not apply to the version, a shape does not fit, attention scores are to be
            masked, dropped or returned, or a state is requested before the layer is
            built.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import RWKVAttention
    >>> layer = RWKVAttention(num_heads=2, key_dim=8, version=7)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> output, state = layer(x[:, :7], return_state=True)
    >>> tuple(layer(x[:, 7:], initial_state=state).shape)
    (4, 3, 16)

    Reference:
        [Peng et al., 2023](https://arxiv.org/abs/2305.13048);
        [Peng et al., 2025](https://arxiv.org/abs/2503.14456)
    """

    causality = "always"
    cross_attention = False
    linear_time = True
    packs = True
    search_space: ClassVar[dict] = {"version": (4, 7)}

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        version=4,
        rank=None,
        epsilon=64e-5,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.one_of(tuple(SHIFT_POWERS), version=version)
        checks.positive_number(epsilon=epsilon)
        if rank is not None:
            checks.positive_integer(rank=rank)
        if version == 4 and (self.value_dim != key_dim or rank is not None):
            raise ValueError(
                "Version 4 has no `rank`, and its `value_dim` must equal `key_dim`. "
                f"Received: key_dim={key_dim}, value_dim={value_dim}, rank={rank}"
            )
        self.version = version
        self.rank = rank
        self.epsilon = epsilon

    def projections(self):
        if self.version == 4:
            return super().projections()
        return (
            *super().projections(),
            Projection("decay", "decay", self.num_heads, self.key_dim),
            Projection("rate", "rate", self.num_heads, self.key_dim),
            Projection("gate", "gate", self.num_heads, self.value_dim),
        )

    def projector(self, projection):
        if projection.name not in LOW_RANK:
            return super().projector(projection)
        rank = self.rank
        if rank is None:
            factor, power = (0.6, 0.8) if projection.name == "gate" else (1.8, 0.5)
            rank = 32 * max(1, round(factor * self._features**power / 32))
        bias = {"decay": _slow_to_fast, "rate": np.zeros, "gate": None}
        return LowRank(
            rank,
            projection,
            LOW_RANK[projection.name],
            bias[projection.name],
            self._dense_options(),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        part = np.arange(self._features) / self._features
        self._shifts = {
            name: self._add(f"{name}_shift", part**power)
            for name, power in SHIFT_POWERS[self.version].items()
        }
        keys, values = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        if self.version == 4:
            self._decay = self._add("decay", _very_slow_to_fast(keys))
            self._bonus = self._add("bonus", _zigzag(keys))
            return
        self._removal_scale = self._add("removal_scale", np.full(keys, 0.85))
        self._rate_share = self._add("rate_share", np.ones(keys))
        self._bonus = self._add("bonus", np.zeros(keys))
        self._gamma = self._add("gamma", np.ones(values))
        self._beta = self._add("beta", np.zeros(values))

    def remember(self, inputs, mask, state):
        before = None if state is None else state["last_input"]
        previous, last = previous_real(
            inputs["key"], mask.keys, before, mask.key_segments
        )
        change = {name: inputs[name] - previous for name in ("query", "key")}
        mixed = {}
        for name, shift in self._shifts.items():
            own = change["query" if name in ("query", "gate") else "key"]
            mixed[name] = previous + own * ops.cast(shift, own.dtype)
        return mixed, {"last_input": last}

    def attend(self, call):
        return self._attend_4(call) if self.version == 4 else self._attend_7(call)

    def _attend_4(self, call):
        held = call.state or {}
        output, sums, maximum = wkv(
            call["key"],
            call["value"],
            ops.exp(ops.cast(self._decay, "float32")),
            ops.cast(self._bonus, "float32"),
            call.mask,
            held.get("sums"),
            held.get("maximum"),
        )
        output = output * ops.sigmoid(call["query"])
        return output, {"sums": sums, "maximum": maximum}

    def _attend_7(self, call):
        dtype, mask = call["value"].dtype, call.mask
        heads = {name: ops.cast(x, "float32") for name, x in call.heads.items()}
        query, key, value = heads["query"], heads["key"], heads["value"]
        rate = ops.sigmoid(heads["rate"])
        removal_scale, rate_share, own, gamma, beta = (
            ops.cast(weight, "float32")
            for weight in (
                self._removal_scale,
                self._rate_share,
                self._bonus,
                self._gamma,
                self._beta,
            )
        )
        removal = key * removal_scale
        # The constant avoids a division by zero for a key of zeros.
        squares = ops.sum(ops.square(removal), axis=-1, keepdims=True)
        removal = removal * ops.rsqrt(squares + 1e-12)
        key = key * ((rate - 1.0) * rate_share + 1.0)
        output, memory = generalized_delta_rule(
            query,
            key,
            value,
            ops.sigmoid(heads["decay"]) * -math.exp(-0.5),
            removal,
            rate,
            mask,
            None if call.state is None else call.state["memory"],
        )
        output = backend.layer_normalization(output, None, None, self.epsilon)
        bonus = ops.sum(query * key * own, axis=-1, keepdims=True)
        output = output * gamma + beta
        output = output + hide_padding(bonus * value, mask.keys)
        output = hide_padding(output * heads["gate"], mask.queries)
        return ops.cast(output, dtype), {"memory": memory}

    @property
    def state_kind(self):
        checks.built(self)
        heads, last_input = (self.num_heads, self.key_dim), Slot((self._features,))
        if self.version == 7:
            memory = Slot((*heads, self.value_dim), "float32")
            return RecurrentState(memory=memory, last_input=last_input)
        return RecurrentState(
            sums=Slot((2, *heads), "float32"),
            maximum=Slot(heads, "float32", NOTHING),
            last_input=last_input,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "version": self.version,
            "rank": self.rank,
            "epsilon": self.epsilon,
        }


def _channels(shape):
    """Values from 0 in the first channel to 1 in the last."""
    return np.linspace(0.0, 1.0, math.prod(shape)).reshape(shape)


def _very_slow_to_fast(shape):
    """The logarithms of the initial decays of version 4."""
    return -5.0 + 8.0 * _channels(shape) ** 0.7


def _slow_to_fast(shape):
    """The logits of the initial decays of version 7."""
    return -6.5 + 5.0 * _channels(shape) ** 0.85


def _zigzag(shape):
    """The initial bonuses of version 4: those of neighbouring channels differ."""
    zigzag = (np.arange(math.prod(shape)) + 1) % 3 - 1
    return math.log(0.3) + 0.5 * zigzag.reshape(shape)
