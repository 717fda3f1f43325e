"""Sparse attention: each block of steps sees some blocks of steps."""

from dataclasses import replace
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.ops import backend
from keras_twa.ops import blocked_attention
from keras_twa.ops.packing import numbers
from keras_twa.ops.segments import numbers_within
from keras_twa.ops.softmax import sparse_patterns

PATTERNS = ("strided", "fixed", "bigbird")


@keras.saving.register_keras_serializable(package="keras_twa")
class SparseAttention(PairAttention):
    """Multi-head softmax attention between some blocks of a sequence.

    Per head, `softmax(q_i . k_j / sqrt(D)) v_j` over the keys `j` whose block is
    visible to the block of `i`, and `j <= i` under a causal mask. A named pattern, or a
    mask of your own, defines which blocks are visible to which.

    Blocks are counted from the first real step of each row. If `a` is the number of the
    block of `i`, and `b` that of `j`, then `b` is visible to `a` under these
    conditions:

    - "strided": `|a - b| < stride`, or `stride` divides `a - b`.
    - "fixed": both are in the same span of `stride` blocks, or `b` is among the last
      `num_global_blocks` of its span.
    - "bigbird": `|a - b| < num_window_blocks`, or one of them is among the first
      `num_global_blocks`, or the earlier is one of the `num_random_blocks` drawn for
      the later: one from each of as many equal parts of the blocks before it.

    Patterns do not depend on the length, so that a sequence in parts, or with padding,
    gives the same outputs. That is why random blocks are drawn from earlier blocks and
    used in both directions, where the paper draws from all blocks.

    Scores of other blocks are not computed, unless the length is unknown, the call has
    a state, attention weights are dropped, returned, or masked pair by pair, or most
    blocks are visible.

    Cost: O(T N D) time with N visible keys per step, otherwise O(T^2 D) time; O(T)
    memory. The pattern of blocks adds O((T / block_size)^2), which matters only for
    small blocks. Decoding holds all keys and values.

    Args:
        pattern: "strided", "fixed" or "bigbird", or a boolean array or nested list
            `(n, n)`, for up to `n` blocks: whether the block of the row sees the block
            of the column. Defaults to "bigbird".
        block_size: Number of steps in a block. Defaults to 64.
        stride: Number of blocks; for "strided" and "fixed". Defaults to 8.
        num_window_blocks: Number of blocks that a block sees, counting itself and
            earlier blocks, and as many ahead unless the call is causal; for "bigbird".
            Defaults to 2.
        num_global_blocks: Number of blocks that are visible to all; for "bigbird" and
            "fixed". Defaults to 1.
        num_random_blocks: Number of random blocks; for "bigbird". Defaults to 3.
        pattern_seed: Seed of the random blocks, an integer. Defaults to 0.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the attention
        weights `(B, H, T, T)` in float32; with `return_state`, also the state: "key"
        and "value" `(B, L, H, width)` of all steps so far, which of them are "real",
        their "time", and with a `max_length` the "length" so far.

    Raises:
        ValueError: If a size is not positive, the mask of blocks is not square and
            boolean, or has an empty row, a sequence has more blocks than the mask, or a
            shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import SparseAttention
    >>> layer = SparseAttention(num_heads=2, key_dim=8, pattern="fixed", block_size=4)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x, use_causal_mask=True).shape)
    (4, 10, 16)

    Reference:
        [Child et al., 2019](https://arxiv.org/abs/1904.10509),
        [Zaheer et al., 2020](https://arxiv.org/abs/2007.14062)
    """

    cross_attention = False
    rotary = True
    counts_steps = True
    linear_time = True
    search_space: ClassVar[dict] = {
        "pattern": ("bigbird", "strided", "fixed"),
        "block_size": (64, 16),
    }
    small_options: ClassVar[dict] = {"block_size": 4}

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        pattern="bigbird",
        block_size=64,
        stride=8,
        num_window_blocks=2,
        num_global_blocks=1,
        num_random_blocks=3,
        pattern_seed=0,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_integer(
            block_size=block_size, stride=stride, num_window_blocks=num_window_blocks
        )
        checks.whole_number(
            num_global_blocks=num_global_blocks,
            num_random_blocks=num_random_blocks,
            pattern_seed=pattern_seed,
        )
        self.pattern = pattern if isinstance(pattern, str) else _block_mask(pattern)
        self.block_size = block_size
        self.stride = stride
        self.num_window_blocks = num_window_blocks
        self.num_global_blocks = num_global_blocks
        self.num_random_blocks = num_random_blocks
        self.pattern_seed = pattern_seed
        self._seen = self._make_pattern()

    def attend(self, call):
        mask, first = call.mask, None
        if call.state is not None:
            # In a cache with room for more steps, queries are not at the end.
            first = call.state.get("length")
            if mask.keys is not None:
                mask = replace(mask, steps=numbers(mask.keys))
        return blocked_attention(
            self._within(call["query"], self._longest(call)),
            call["key"],
            call["value"],
            self._seen,
            self.block_size,
            mask,
            call.dropout,
            call.return_weights,
            first,
        )

    def position_profile(self, length):
        if isinstance(self.pattern, np.ndarray):
            # A mask given by the user limits the number of steps.
            length = min(length, len(self.pattern) * self.block_size)
        return [profiles.seen_pairs(self, length)]

    def get_config(self):
        named = isinstance(self.pattern, str)
        return {
            **super().get_config(),
            "pattern": self.pattern if named else self.pattern.tolist(),
            "block_size": self.block_size,
            "stride": self.stride,
            "num_window_blocks": self.num_window_blocks,
            "num_global_blocks": self.num_global_blocks,
            "num_random_blocks": self.num_random_blocks,
            "pattern_seed": self.pattern_seed,
        }

    def _make_pattern(self):
        if not isinstance(self.pattern, str):
            return sparse_patterns.Table.of(self.pattern)
        checks.one_of(PATTERNS, pattern=self.pattern)
        if self.pattern == "strided":
            return sparse_patterns.Strided(self.stride)
        if self.pattern == "fixed":
            return sparse_patterns.Fixed(self.stride, self.num_global_blocks)
        return sparse_patterns.BigBird(
            self.num_window_blocks,
            self.num_global_blocks,
            self.num_random_blocks,
            self.pattern_seed,
        )

    def check_call(self, arguments):
        steps, held, state = arguments.query.shape[1], 0, arguments.state
        if arguments.segment_ids is not None:
            steps = None
            if not isinstance(arguments.query, keras.KerasTensor):
                within = numbers_within(arguments.segment_ids)
                steps = backend.known(ops.max(within, initial=-1) + 1)
        if state is not None:
            held = state["time"].shape[1]
            steps = 0 if "length" in state else steps
        if steps is not None and held is not None:
            self._check_length(steps + held)

    def _check_length(self, length):
        most = self._most_steps()
        if most is not None and length > most:
            raise ValueError(
                f"The mask of blocks is for up to {most} steps. "
                f"Received: {length} steps"
            )

    def _longest(self, call):
        """The number of keys, in packed rows that of the longest segment."""
        if call.mask.key_segments is None:
            return ops.shape(call["key"])[1]
        return ops.max(call.mask.steps, initial=-1) + 1

    def _within(self, query, length):
        """The queries, or NaN if there are more steps than the mask of blocks allows.

        This applies if the number of steps is unknown when the call is compiled.
        """
        most = self._most_steps()
        if most is None or isinstance(length, int):
            return query
        return ops.where(ops.less_equal(length, most), query, float("nan"))

    def _most_steps(self):
        if isinstance(self.pattern, str):
            return None
        return len(self.pattern) * self.block_size


def _block_mask(given):
    """A mask of blocks as a boolean array `(n, n)`."""
    try:
        mask = np.asarray(given)
    except ValueError:  # rows of different lengths
        mask = np.zeros(())
    square = mask.ndim == 2 and mask.shape[0] == mask.shape[1] > 0
    if mask.dtype != "bool" or not square or not mask.any(axis=1).all():
        raise ValueError(
            f"`pattern` must be one of {list(PATTERNS)}, or a square boolean array "
            "in which each block sees at least one. "
            f"Received: pattern={given!r}"
        )
    return mask
