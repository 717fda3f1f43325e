"""The interface that all kinds of states share."""

from typing import Any
from typing import NamedTuple


class Slot(NamedTuple):
    """One tensor of a state.

    Args:
        shape: Its shape without the batch. A size of 0 stands for any size.
        dtype: Its dtype, or `None` for the dtype requested for the state.
        fill: The number that fills it in the initial state.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    fill: Any = 0


class State:
    """Abstract description of a kind of state: its layout, and how a call updates it.

    The state itself is a dictionary of tensors, called `held` here. Users pass it from
    one call to the next.
    """

    def slots(self, dtype, max_length=None):
        """The `Slot` of each tensor of an initial state, by name.

        A slot named "length" holds a number of steps, the same for the whole batch.

        Args:
            dtype: Dtype of the keys, values or inputs in it.
            max_length: Number of steps to make room for in a state that would grow
                otherwise; `None` for no limit.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `slots`.")

    def steps_before(self, held):
        """Number of real steps of each row that a state has seen, integer `(B,)`."""
        return held["count"]

    def shapes_after(self, shapes, steps):
        """The shapes of the tensors of a state after a call, by name.

        Args:
            shapes: The shapes before the call.
            steps: T of the call, or `None`.
        """
        del steps
        return shapes

    def num_keys(self, shapes, steps):
        """Number of keys that a call with a state attends to, or `None` if unknown.

        Args:
            shapes: The shapes of the tensors of the state before the call.
            steps: T of the call, or `None`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `num_keys`.")

    def extend(self, held, call):
        """Adds the steps of a call to a state.

        Args:
            held: The state before the call.
            call: The `Call`.

        Returns:
            The next state, and the `Call` with the keys and values of earlier steps
            prepended.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `extend`.")
