"""Causal attention that runs backward, or in both directions.

A layer that runs backward reverses its inputs, and reverses its outputs back. If half
of the heads run in each direction, one call of the kernel computes both where it can:
the second half of the heads gets the real steps of each row, or of each segment of
packed rows, in reverse order, in the places of real steps. So the same places are
padding for all heads, and segments begin at the same places.
"""

from dataclasses import replace

from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.positions.bias import batch_of_times
from keras_twa.masks import boolean
from keras_twa.ops.reversing import reversed_order
from keras_twa.ops.reversing import reversed_pairs
from keras_twa.ops.reversing import reversed_steps


class Directed(Attention, abstract=True):
    """Abstract causal attention that reads a sequence in a `direction`.

    Args:
        *args: The arguments of `Attention`.
        direction: "forward", "backward", or "both": the first half of the heads runs
            forward, the second half backward. The layer is causal only if all heads run
            forward.
        **kwargs: The arguments of `Attention`.
    """

    allowed_directions = ("forward", "backward", "both")

    def __init__(self, *args, direction="forward", **kwargs):
        super().__init__(*args, **kwargs)
        checks.direction(self, direction)
        self.direction = direction
        if direction != "forward":
            self.causality = "never"
            self.cross_attention = False
            self.prefix_invariant = False
            self.position_profile = None

    def project_and_mix(self, arguments, training, read=None):
        if self.direction == "forward":
            return super().project_and_mix(arguments, training)
        # Causal among the steps, in the order in which heads read them.
        arguments = replace(arguments, is_causal=True)
        if self.direction == "backward":
            return self._backward(arguments, training)
        if self._has_equal_places(arguments):
            return self._in_one_run(arguments, training)
        forward = super().project_and_mix(arguments, training)
        return _halves(forward, self._backward(arguments, training))

    def get_config(self):
        return {**super().get_config(), "direction": self.direction}

    def _backward(self, arguments, training):
        """Outputs and attention weights of all heads, running backward."""
        arguments = _reversed(arguments)
        outputs, weights, _ = super().project_and_mix(arguments, training)
        return _reversed_back(outputs, weights)

    def _has_equal_places(self, arguments):
        """Whether the same places have the same masks and times in both orders.

        So it is if each step is either real or padding, and times do not matter or are
        the numbers of the steps.
        """
        queries, values = arguments.query_mask, arguments.value_mask
        one_mask = queries is values and arguments.key_mask is None
        timed = self.by_time and arguments.query_positions is not None
        return one_mask and arguments.attention_mask is None and not timed

    def _in_one_run(self, arguments, training):
        """Outputs and attention weights, each half of the heads in its direction."""
        found = super().project_and_mix(arguments, training, self._read_in_halves)
        outputs, weights, _ = found
        order = reversed_order(boolean(arguments.query_mask), arguments.segment_ids)
        outputs = _with_second_half(reversed_steps, outputs, 2, order)
        if weights is not None:
            weights = _with_second_half(reversed_pairs, weights, 1, order)
        return outputs, weights, None

    def _read_in_halves(self, inputs, mask, state):
        """The heads of a call, of which the second half reads in reverse order."""
        order = reversed_order(mask.keys, mask.key_segments)
        read, _ = self.remember(inputs, mask, state)
        if read is inputs:
            # Each step is projected on its own, so that heads can be reversed later.
            heads = self.heads_of(inputs)
            return {
                name: _with_second_half(reversed_steps, x, 2, order)
                for name, x in heads.items()
            }, {}
        backward = dict.fromkeys(inputs, reversed_steps(inputs["query"], order))
        backward, _ = self.remember(backward, mask, state)
        first, second = (self.heads_of(x, i) for i, x in enumerate((read, backward)))
        heads = {
            name: ops.concatenate([x, second[name]], axis=2)
            for name, x in first.items()
        }
        return heads, {}


def _reversed(arguments):
    """The arguments of a call of self-attention, with its steps in reverse order."""
    made = {}

    def flipped(x, axes=(1,)):
        # The same mask must stay the same.
        if x is not None and id(x) not in made:
            made[id(x)] = x
            for axis in axes:
                made[id(x)] = ops.flip(made[id(x)], axis=axis)
        return None if x is None else made[id(x)]

    query = flipped(arguments.query)
    times = batch_of_times(arguments.query_positions)
    times = None if times is None else ops.negative(flipped(times))
    return replace(
        arguments,
        query=query,
        value=query,
        key=query,
        query_mask=flipped(arguments.query_mask),
        value_mask=flipped(arguments.value_mask),
        key_mask=flipped(arguments.key_mask),
        attention_mask=flipped(arguments.attention_mask, (-2, -1)),
        query_positions=times,
        key_positions=times,
        segment_ids=flipped(arguments.segment_ids),
        key_segment_ids=flipped(arguments.segment_ids),
    )


def _reversed_back(outputs, weights):
    """Outputs and attention weights in the order of the given steps, and no state."""
    weights = None if weights is None else reversed_pairs(weights)
    return reversed_steps(outputs), weights, None


def _with_second_half(reverse, x, axis, order):
    """Heads of which the second half, along an axis, is reversed."""
    # On PyTorch, the gradient of a split needs less work than those of two slices.
    forward, backward = ops.split(x, 2, axis=axis)
    return ops.concatenate([forward, reverse(backward, order)], axis=axis)


def _halves(forward, backward):
    """The first half of the heads of a forward run, the second of a backward run."""

    def joined(x, y, axis):
        if x is None:
            return None
        middle = x.shape[axis] // 2
        cut = [slice(None)] * axis
        halves = [x[(*cut, slice(0, middle))], y[(*cut, slice(middle, None))]]
        return ops.concatenate(halves, axis=axis)

    outputs, weights = zip(forward[:2], backward[:2], strict=True)
    return joined(*outputs, axis=2), joined(*weights, axis=1), None
