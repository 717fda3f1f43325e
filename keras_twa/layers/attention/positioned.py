"""Positions inside of attention: queries and keys that turn, scores with a bias."""

from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import positions
from keras_twa.layers.positions.bias import batch_of_times
from keras_twa.masks import hide_padding
from keras_twa.masks import real_keys
from keras_twa.ops import backend
from keras_twa.ops.packing import numbers
from keras_twa.times import check_times

# The arguments of a call that are times.
TIMES = ("query_positions", "key_positions")


class Positioned:
    """What a layer of attention does with its `positions`."""

    # Whether queries and keys may be turned, and whether a bias may be added to scores:
    # the positions that the variant is defined with.
    rotary = False
    position_bias = False

    def _use_positions(self, given):
        """Makes `positions` of what a constructor got."""
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
        """Whether queries and keys are turned by their times."""
        return isinstance(self.positions, positions.RotaryPositions)

    def place(self, heads, mask, query_times, key_times, state):
        """The heads, with queries and keys turned before a state holds any of them.

        A variant may implement it, for what is to be done to them before they turn.
        """
        if not self.turns:
            return heads
        if query_times is None and state is not None:
            # Integers, which count on exactly however many there are.
            before = self.steps_before(state)[:, None]
            real = real_keys(mask, *ops.shape(heads["query"])[:2])
            query_times = key_times = numbers(real, before)
        query = self.positions(heads["query"], query_times)
        return {**heads, "query": query, "key": self.positions(heads["key"], key_times)}

    def _check_times(self, times, masks, state):
        """Refuses times that the layer would misread, where these are at hand.

        Args:
            times: Those of queries and of keys, or `None`.
            masks: Which of these steps are real, or `None`.
            state: The state before the call, or `None`.
        """
        kinds = [*zip(TIMES, times, masks, strict=True)]
        # Those of one sequence need one look.
        for name, given, mask in kinds[:1] if times[0] is times[1] else kinds:
            found = None if given is None else backend.array(given)
            real = None if mask is None or found is None else backend.array(mask)
            # Without the mask, nobody can tell times from padding.
            if found is None or (mask is not None and real is None):
                continue
            # A layer whose times must not fall has the last one in its state.
            follows = state is not None and not self.times_may_fall
            after = backend.array(state["time"]) if follows else None
            check_times(found, real, name, self.times_may_fall, after)

    def pair_bias(self, heads, query_positions, key_positions):
        """What `positions` add to the scores: a `PairBias`, or `None`.

        Args:
            heads: What `attend` gets.
            query_positions: Likewise.
            key_positions: Likewise.
        """
        if not isinstance(self.positions, positions.PositionBias):
            return None
        return self.positions.pair_bias(
            heads["query"], heads["key"], query_positions, key_positions
        )


def times_at(given, mask=None):
    """Float32 `(B or 1, length)`, or `None` where none were given."""
    times = batch_of_times(given)
    return None if times is None else hide_padding(times, mask)
