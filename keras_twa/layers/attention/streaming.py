"""Causal attention to a sequence in parts, with a state passed between the parts."""

import keras
from keras import ops

from keras_twa.layers import checks


class Streaming:
    """The part of an attention layer that continues where an earlier call ended.

    A sequence may come whole, in chunks of any length, or step by step: the outputs are
    the same. A state is a dictionary of tensors, described by `state_kind`.
    """

    @property
    def state_kind(self):
        """The `State` that describes the layer's states. Each mechanism chooses one."""
        raise NotImplementedError(f"{type(self).__name__} must have a `state_kind`.")

    def initial_state(self, batch_size, dtype=None, max_length=None):
        """The state before the first step.

        Args:
            batch_size: B.
            dtype: Dtype of the keys and values in the state, if it holds any. Defaults
                to the compute dtype.
            max_length: Number of steps that it has room for, if it holds keys and
                values. With `None`, it grows with each call, and a compiled function is
                compiled anew for each length. With a number, returned attention weights
                have a column for each step that there is room for.

        Returns:
            A dictionary of tensors `(B, ...)`, and with `max_length` a count of steps.
        """
        checks.has_states(self)
        if max_length is not None:
            checks.positive_integer(max_length=max_length)
        return {
            name: ops.full(
                (batch_size, *slot.shape) if name != "length" else (),
                slot.fill,
                slot.dtype,
            )
            for name, slot in self.state_spec(dtype, max_length).items()
        }

    def step(self, token, state, mask=None, position=None):
        """Takes one step of causal self-attention.

        Args:
            token: `(B, F)`.
            state: From `initial_state`, a step, or a call with `return_state=True`.
            mask: Boolean `(B,)`, `True` where the token is real. Defaults to all.
            position: Times of the tokens `(B,)`. Defaults to the number of real steps
                before.

        Returns:
            The output `(B, output_shape)`, and the next state.
        """
        outputs, state = self(
            token[:, None],
            query_mask=None if mask is None else mask[:, None],
            use_causal_mask=True,
            query_positions=None if position is None else position[:, None],
            initial_state=state,
            return_state=True,
        )
        return outputs[:, 0], state

    def state_spec(self, dtype=None, max_length=None):
        """The `Slot` of each tensor of an initial state, by name."""
        return self.state_kind.slots(dtype or self.compute_dtype, max_length)

    def has_fixed_state(self):
        """Whether the shapes of a state stay the same for any number of steps."""
        shapes = self._shapes_before(None, 1)
        return self.state_kind.shapes_after(shapes, 1) == shapes

    def next_state_of(self, state, batch, steps):
        """Symbolic tensors of the state that a call returns.

        Args:
            state: The state passed to the call, or `None`.
            batch: B, or `None`.
            steps: T, or `None`.
        """
        shapes = self._shapes_before(state, batch)
        dtypes = {name: slot.dtype for name, slot in self.state_spec().items()}
        dtypes["length"] = "int32"
        return {
            name: keras.KerasTensor(shape, dtype=dtypes[name])
            for name, shape in self.state_kind.shapes_after(shapes, steps).items()
        }

    def keys_seen(self, state, steps):
        """Number of keys that a call with a state attends to, or `None` if unknown.

        These are the steps so far, or with a `max_length` all steps that there is room
        for. Returned attention weights have a column for each of them.

        Args:
            state: The state passed to the call, or `None`.
            steps: T, or `None`.
        """
        return self.state_kind.num_keys(self._shapes_before(state, None), steps)

    def _shapes_before(self, state, batch):
        """The shapes of the tensors of a state, by default the initial one."""
        if state is not None:
            return {name: tuple(x.shape) for name, x in state.items()}
        spec = self.state_spec()
        shapes = {name: (batch, *slot.shape) for name, slot in spec.items()}
        return shapes | {name: () for name in spec if name == "length"}
