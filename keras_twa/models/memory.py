"""The memory of a model from batch to batch: the states of its attention."""

import keras
from keras import ops


class Memory(keras.layers.Layer):
    """The states of the blocks' attention: variables with a row for each batch row.

    They are neither trained nor saved with the weights, because they belong to the
    sequences that were read. Weights therefore fit a model with another batch size.
    """

    def build(self, specs, batch_size):
        """Makes the variables.

        Args:
            specs: A dictionary of `Slot`s for each block.
            batch_size: B.
        """
        self._specs = specs
        self._states = [
            {
                name: self.add_weight(
                    (batch_size, *slot.shape) if name != "length" else (),
                    _filled(slot.fill),
                    slot.dtype,
                    trainable=False,
                    # Times would be rounded.
                    autocast=False,
                    name=f"{name}_{block}",
                )
                for name, slot in spec.items()
            }
            for block, spec in enumerate(specs)
        ]
        self.built = True

    def read(self, begins=None):
        """The states, one for each block.

        Args:
            begins: Boolean `(B,)`, `True` for rows that start again, or `None`.
        """
        return [
            {name: _read(one[name], slot.fill, begins) for name, slot in spec.items()}
            for spec, one in zip(self._specs, self._states, strict=True)
        ]

    def write(self, states):
        """Stores the states that the blocks returned."""
        for variables, state in zip(self._states, states, strict=True):
            for name, variable in variables.items():
                variable.assign(state[name])

    def reset(self):
        """Forgets everything."""
        for spec, variables in zip(self._specs, self._states, strict=True):
            for name, variable in variables.items():
                slot = spec[name]
                variable.assign(ops.full(variable.shape, slot.fill, slot.dtype))

    def save_own_variables(self, store):
        """Saves nothing."""

    def load_own_variables(self, store):
        """Loads nothing."""


def _read(variable, fill, begins):
    """The value of a variable, reset in rows that begin."""
    # A copy: PyTorch writes into variables, and a gradient may need the old value.
    x = ops.copy(variable)
    # The count of steps is shared by all rows, and only its differences matter.
    if begins is None or len(x.shape) == 0:
        return x
    begins = ops.reshape(ops.cast(begins, "bool"), (-1, *(1 for _ in x.shape[1:])))
    return ops.where(begins, ops.cast(fill, x.dtype), x)


def _filled(fill):
    return lambda shape, dtype: ops.full(shape, fill, dtype)
