"""A short causal convolution of queries, keys and values along the sequence."""

import math

import keras
from keras import ops

from keras_twa.layers.attention.states import Slot
from keras_twa.ops import earlier_real

CONVOLVED = ("query", "key", "value")


class ShortConvolution(keras.layers.Layer):
    """Convolves each channel of queries, keys and values with the last real steps.

    A step becomes `silu(sum_n kernel_n x_n)` over its last K real steps, in order, the
    last of which is the step itself. Steps before the first one are zero. Padding is
    skipped, as if it were not there.

    The weight "kernel" has the shape `(K, C)`, where the C channels are those of all
    heads of the query, then of the key, then of the value. Initially, it is uniform
    between `-1 / sqrt(K)` and `1 / sqrt(K)`.

    Args:
        size: Number K of steps, at least 2.
        projections: The `Projection`s of the attention layer.
    """

    def __init__(self, size, projections, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self._size = size
        self._shapes = _shapes(projections)

    def build(self, input_shape=None):
        limit = 1.0 / math.sqrt(self._size)
        self.kernel = self.add_weight(
            shape=(self._size, sum(map(math.prod, self._shapes))),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            name="kernel",
        )

    def call(self, heads, real=None, before=None, run=None):
        """Convolves the heads of a call.

        Args:
            heads: Dictionary of tensors `(B, T, H, width)`.
            real: Boolean `(B, T)`, `True` for real steps, or `None` if all are real.
            before: The last K - 1 real steps of an earlier call, `(B, K - 1, C)`, or
                `None`.
            run: Integer `(B, T)`, the number of each step's segment in packed rows, or
                `None`.

        Returns:
            The heads, and the last K - 1 real steps.
        """
        shape = ops.shape(heads["value"])[:2]
        x = [
            ops.reshape(heads[name], (*shape, math.prod(size)))
            for name, size in zip(CONVOLVED, self._shapes, strict=True)
        ]
        x = ops.concatenate(x, axis=-1)
        kernel = ops.cast(self.kernel, x.dtype)
        earlier, last = earlier_real(x, self._size - 1, real, before, run)
        x = x * kernel[-1]
        for n, step in enumerate(earlier):
            x = x + step * kernel[n]
        widths = [*map(math.prod, self._shapes)]
        parts = ops.split(ops.silu(x), [sum(widths[:n]) for n in (1, 2)], axis=-1)
        found = {
            name: ops.reshape(part, (*shape, *size))
            for name, part, size in zip(CONVOLVED, parts, self._shapes, strict=True)
        }
        return {**heads, **found}, last


def slot_of_last(size, projections, dtype):
    """The `Slot` of the last real steps in a state."""
    return Slot((size - 1, sum(map(math.prod, _shapes(projections)))), dtype)


def _shapes(projections):
    """The number of heads of queries, keys and values, and their widths."""
    by_name = {projection.name: projection for projection in projections}
    return [(by_name[name].heads, by_name[name].dim) for name in CONVOLVED]
