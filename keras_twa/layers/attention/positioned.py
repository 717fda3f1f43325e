"""Positions inside attention: rotated queries and keys, or biased scores."""

from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import positions
from keras_twa.layers.attention.projecting import Projecting
from keras_twa.masks import real_keys
from keras_twa.ops.packing import numbers


class Positioned(Projecting):
    """The part of an attention layer that applies `positions`."""

    def _use_positions(self, given):
        """Sets `positions` from the argument of the constructor."""
        self.positions = None
        if given is not None:
            self.positions = positions.get(
                given, dtype=self.dtype_policy, name="positions"
            )
            checks.defined_with(self, given, self.positions.needs)
        self._given_positions = given if isinstance(given, str) else self.positions

    def _build_positions(self):
        if self.positions is not None and not self.positions.built:
            heads = self.projections()[0].heads
            self.positions.build((None, None, heads, self.key_dim))

    @property
    def turns(self):
        """Whether queries and keys are rotated by their times."""
        return isinstance(self.positions, positions.RotaryPositions)

    def turned(self, heads, mask, query_times, key_times, state):
        """The heads, with queries and keys rotated by the times of their steps.

        Args:
            heads: Dictionary of tensors `(B, T, heads, dim)`.
            mask: The `AttentionMask`.
            query_times: Float32 `(B or 1, T)`, or `None`.
            key_times: Float32 `(B or 1, S)`, or `None`.
            state: The state before the call, or `None`.
        """
        if not self.turns:
            return heads
        if query_times is None and state is not None:
            # Integers, as float32 would not count exactly in long streams.
            before = self.state_kind.steps_before(state)[:, None]
            real = real_keys(mask, *ops.shape(heads["query"])[:2])
            query_times = key_times = numbers(real, before)
        query = self.positions(heads["query"], query_times)
        return {**heads, "query": query, "key": self.positions(heads["key"], key_times)}

    def pair_bias(self, call):
        """The `PairBias` that `positions` add to the scores of a `Call`, or `None`."""
        if not isinstance(self.positions, positions.PositionBias):
            return None
        return self.positions.pair_bias(
            call["query"], call["key"], call.query_times, call.key_times
        )
