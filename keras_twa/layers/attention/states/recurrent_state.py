"""A state of fixed size that a recurrence computes."""

from keras_twa.layers.attention.states.state import State


class RecurrentState(State):
    """Tensors of constant shape; the mechanism itself computes the next ones.

    Args:
        **slots: The `Slot` of each tensor, by name.
    """

    def __init__(self, **slots):
        self._slots = slots

    def slots(self, dtype, max_length=None):
        return {
            name: slot if slot.dtype is not None else slot._replace(dtype=dtype)
            for name, slot in self._slots.items()
        }
