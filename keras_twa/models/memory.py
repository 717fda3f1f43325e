"""What a model keeps of one batch for the next."""

import keras
from keras import ops


class Memory(keras.layers.Layer):
    """The states of a model's blocks, as variables with a row for each of a batch.

    They are not trained, and not saved with the weights: they belong to the sequences
    that were read. So weights fit a model with batches of another size.
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
                    (batch_size, *slot.shape),
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
            begins: Boolean `(B,)`, `True` for rows that begin anew, or `None`.
        """

        def of_row(variable, fill):
            x = ops.convert_to_tensor(variable)
            # In any case a copy: PyTorch writes into a variable, and the gradient may
            # need what was there.
            forget = ops.zeros(x.shape[:1], "bool") if begins is None else begins
            forget = ops.reshape(ops.cast(forget, "bool"), (-1, *[1] * (x.ndim - 1)))
            return ops.where(forget, ops.cast(fill, x.dtype), x)

        return [
            {name: of_row(variable, spec[name].fill) for name, variable in one.items()}
            for spec, one in zip(self._specs, self._states, strict=True)
        ]

    def write(self, states):
        """Keeps the states that the blocks returned."""
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


def _filled(fill):
    return lambda shape, dtype: ops.full(shape, fill, dtype)
