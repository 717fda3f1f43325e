"""Multi-timescale retention: each head's memory decays at several rates at once."""

import math
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention.clock import Clock
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.layers.attention.timescales import DISCOUNTS_TO_SEARCH
from keras_twa.layers.attention.timescales import GATE
from keras_twa.layers.attention.timescales import Timescales
from keras_twa.masks import hide_padding
from keras_twa.ops import inverse_laplace
from keras_twa.ops import multi_timescale_retention
from keras_twa.ops.recurrent.subchunks import NOTHING


@keras.saving.register_keras_serializable(package="keras_twa")
class MultiTimescaleRetention(RecurrentAttention):
    """Multi-head retention at several timescales with a decoder.

    Per head, with each of N discounts `gamma_n`, over the steps up to `i`:
    `y_n = sum_j gamma_n^(t_i - t_j) (q_i . k_j) v_j / sqrt(D)`, with rotary positions
    in `q` and `k`. A decoder combines the N outputs into one, which is multiplied by
    the gate `silu(x W_G)`.

    Sums with several discounts are samples of a Laplace transform over time: together
    they show not only what was seen, but also roughly when.

    - `decoder="learned"` scales each `y_n` by `sqrt(1 - gamma_n^2)`, so that the
      squares of its factors add up to 1, divides all N by their root mean square, and
      decodes them with learned layers: a linear map, layer normalisation, ReLU, a
      linear map.
    - `decoder="gated"` does the same, but before the learned layers, the gate
      `N softmax(x W)` of each step and head weighs the N timescales.
    - `decoder="tikhonov"` inverts the transform. A fixed matrix, the regularised
      inverse of `L[n, m] = gamma_n^lag_m`, turns the N sums into estimates `p_m` of
      what was seen at each of a few lags. Each head learns a weight for each lag,
      `sum_m w_m p_m`, and the sum is divided by its root mean square. Initially, all
      weights are 1. N discounts can distinguish at most N lags: the estimates overlap,
      the more so for longer lags.

    It is causal, whether `use_causal_mask` is set or not. One call, chunks and single
    steps give the same outputs. It is to `MultiTimescaleAttention` what retention is to
    attention, but has only one query, key and value for all timescales of a head.

    Cost: O(T D (C + N D)) time with chunks of C steps and "tikhonov", or O(N T D (C + N
    D)) with "learned"; O(N T) memory. Decoding holds N D value_dim numbers per head,
    and takes the same time at every position.

    Args:
        discounts: Discount per unit of time of each timescale, in (0, 1).
            Defaults to (0.6, 0.9, 0.99). "log_uniform": `num_timescales` learned
            discounts `exp(-1 / tau)`, with initial `tau` from 1 to `longest_timescale`,
            evenly spaced on a logarithmic scale.
        trainable_discounts: Whether they are learned. Requires a learned decoder.
            Defaults to `False`.
        decoder: "learned", "gated" or "tikhonov". Defaults to "learned".
        lags: For "tikhonov", the lags of the estimates in units of time: increasing and
            not negative. Defaults to (0, 1, 2, 4, 8, 16, 32, 64).
        alpha: For "tikhonov", singular values of the transform below this are
            suppressed. Larger values smooth more. Defaults to 0.1.
        epsilon: Added to the mean square in the normalisation. Defaults to 1e-5.
        num_timescales: N, for `discounts="log_uniform"`.
        longest_timescale: The longest initial `tau`, more than 1. Defaults to the
            length of the sequence that the layer is built for.
        select: For "gated", how many timescales each step and head keeps: the others
            get a gate of 0. All are computed. Defaults to `None`: all.

    Returns:
        `(B, T, output_shape)`; with `return_state`, also the state: "memory"
        `(B, H, D, N, value_dim)` and the "time" of the last real step `(B,)`, in
        float32.

    Raises:
        ValueError: If a size is not positive, a discount is not inside (0, 1), lags do
            not increase, discounts are to be learned with a fixed decoder, a shape does
            not fit, or attention scores are to be masked, dropped or returned.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import MultiTimescaleRetention
    >>> layer = MultiTimescaleRetention(2, 8, decoder="tikhonov")
    >>> x = np.ones((4, 10, 16), "float32")
    >>> output, state = layer(x[:, :7], return_state=True)
    >>> tuple(layer(x[:, 7:], initial_state=state).shape)
    (4, 3, 16)

    Reference:
        [Masset et al., 2025](https://doi.org/10.1038/s41586-025-08929-9) on
        learning with many discounts, and
        [Sun et al., 2023](https://arxiv.org/abs/2307.08621) on retention.
    """

    uses_times = True
    times_may_fall = False
    packs = True
    causality = "always"
    cross_attention = False
    linear_time = True
    search_space: ClassVar[dict] = {
        "discounts": DISCOUNTS_TO_SEARCH,
        "decoder": ("learned", "gated", "tikhonov"),
    }

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        discounts=(0.6, 0.9, 0.99),
        trainable_discounts=False,
        decoder="learned",
        lags=(0, 1, 2, 4, 8, 16, 32, 64),
        alpha=0.1,
        epsilon=1e-5,
        num_timescales=None,
        longest_timescale=None,
        select=None,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.timescales(discounts, num_timescales, longest_timescale)
        checks.one_of(("learned", "gated", "tikhonov"), decoder=decoder)
        checks.lags(lags)
        checks.positive_number(alpha=alpha, epsilon=epsilon)
        spreads = isinstance(discounts, str)
        if decoder == "tikhonov" and (trainable_discounts or spreads):
            raise ValueError(
                "Learned discounts require a learned decoder, 'learned' or 'gated'. "
                f"Received: decoder={decoder!r}, discounts={discounts!r}, "
                f"trainable_discounts={trainable_discounts!r}"
            )
        self.discounts = discounts if spreads else tuple(discounts)
        self.num_timescales = num_timescales
        self.longest_timescale = longest_timescale
        self.select = select
        self.trainable_discounts = trainable_discounts
        self.decoder = decoder
        self.lags = tuple(lags)
        self.alpha = alpha
        self.epsilon = epsilon
        if self._is_learned:
            self.timescales = Timescales(
                discounts,
                trainable_discounts,
                "multiplicative",
                num_heads,
                use_bias,
                self._dense_options,
                decoder,
                num_timescales,
                longest_timescale,
                select,
                dtype=self.dtype_policy,
                name="timescales",
            )
        else:
            checks.selected_timescales(select, len(discounts), decoder)
            self._inverse = inverse_laplace(discounts, lags, alpha)

    @property
    def _is_learned(self):
        return self.decoder != "tikhonov"

    def projections(self):
        gate = Projection("gate", "query", self.num_heads, self.value_dim)
        found = (*super().projections(), gate)
        if self._is_learned:
            return (*found, *self.timescales.gate_projections())
        return found

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        if self._is_learned:
            self.timescales.build((None, query_shape[1], None, self.value_dim))
            return
        self.lag_weights = self.add_weight(
            shape=(self.num_heads, len(self.lags)),
            initializer="ones",
            name="lag_weights",
            autocast=False,
        )

    def attend(self, call):
        clock = Clock.of(call)
        logs, mix = self._log_discounts(), self._mix()
        outputs, memory, last = multi_timescale_retention(
            clock.turn(call["query"]) * self.key_dim**-0.5,
            clock.turn(call["key"]),
            call["value"],
            call.mask,
            logs,
            clock.times,
            mix,
            None if call.state is None else call.state["memory"],
            clock.before,
        )
        output = self._decode(outputs, logs, call.heads.get(GATE))
        output = ops.cast(output, call["gate"].dtype) * ops.silu(call["gate"])
        # The decoder can map zeros to nonzero values.
        output = hide_padding(output, call.mask.queries)
        return output, clock.next_state(memory, last)

    def _log_discounts(self):
        if self._is_learned:
            return self.timescales.log_discounts()
        logs = [math.log(gamma) for gamma in self.discounts]
        return ops.convert_to_tensor(logs, "float32")

    def _mix(self):
        """The weight of each discount for each head, `(H, N)`, or `None`.

        Estimating and weighting are both linear, so they are combined and applied to
        the factors of the sums instead of the sums.
        """
        if self._is_learned:
            return None
        inverse = ops.convert_to_tensor(self._inverse, "float32")
        return ops.matmul(ops.cast(self.lag_weights, "float32"), inverse)

    def _decode(self, outputs, logs, gates):
        """Maps float32 `(B, T, H, N or 1, value_dim)` to `(B, T, H, value_dim)`."""
        if self._is_learned:
            outputs = outputs * ops.sqrt(-ops.expm1(2.0 * logs))[:, None]
        shape = (*ops.shape(outputs)[:3], outputs.shape[3] * outputs.shape[4])
        joint = ops.reshape(outputs, shape)
        # In float32: the sums may be too large for half precision.
        joint = ops.rms_normalization(joint, epsilon=self.epsilon)
        return self.timescales.decode(joint, gates) if self._is_learned else joint

    @property
    def state_kind(self):
        count = len(self.discounts)
        if self._is_learned:
            count = self.timescales.num_timescales
        widths = (self.key_dim, count, self.value_dim)
        return RecurrentState(
            memory=Slot((self.num_heads, *widths), "float32"),
            time=Slot((), "float32", NOTHING),
        )

    def position_profile(self, length):
        if self._is_learned:
            return [self.timescales.fading(length)]
        lags = np.arange(length)
        inverse = inverse_laplace(self.discounts, self.lags, self.alpha)
        mix = ops.convert_to_numpy(self.lag_weights) @ inverse
        kernel = mix @ np.power.outer(np.array(self.discounts), lags)
        lines = profiles.by_head(self, kernel.T)
        ylabel = "weight of a step, over all timescales"
        return [profiles.Curves(profiles.LAG, ylabel, lags, lines)]

    def get_config(self):
        return {
            **super().get_config(),
            "discounts": self.discounts,
            "trainable_discounts": self.trainable_discounts,
            "decoder": self.decoder,
            "lags": self.lags,
            "alpha": self.alpha,
            "epsilon": self.epsilon,
            "num_timescales": self.num_timescales,
            "longest_timescale": self.longest_timescale,
            "select": self.select,
        }
