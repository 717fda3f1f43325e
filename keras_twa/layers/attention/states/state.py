"""What all kinds of states have in common."""

from typing import Any
from typing import NamedTuple


class Slot(NamedTuple):
    """One tensor of a state.

    Args:
        shape: Its shape without the batch. A size of 0 stands for any.
        dtype: Its dtype, or `None` for the one that a state is asked for in.
        fill: The number that fills it in the first state.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    fill: Any = 0


class State:
    """Abstract: how one kind of state is laid out, and what a call makes of it.

    The state itself is a dictionary of tensors, called `held` here. Users pass it from
    one call to the next.
    """

    def slots(self, dtype, max_length=None):
        """The `Slot` of each tensor of a first state, by name.

        One named "length" is a number of steps, the same for the whole batch.

        Args:
            dtype: Dtype of the keys, values or inputs in it.
            max_length: How many steps it has room for, where it would grow otherwise;
                `None` for any number.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `slots`.")

    def steps_before(self, held):
        """How many real steps of each row a state has seen, integer `(B,)`."""
        return held["count"]

    def shapes_after(self, shapes, steps):
        """The shapes of the tensors of a state after a call, by name.

        Args:
            shapes: Those before it.
            steps: T of the call, or `None`.
        """
        del steps
        return shapes

    def num_keys(self, shapes, steps):
        """How many keys a call with a state attends to, or `None` if it is not known.

        Args:
            shapes: The shapes of the tensors of the state before the call.
            steps: T of the call, or `None`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `num_keys`.")

    def extend(self, held, call):
        """Puts the steps of a call into a state.

        Args:
            held: The state before the call.
            call: The `Call`.

        Returns:
            The next state, and the `Call` with the keys and values of earlier steps
            before its own.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `extend`.")
