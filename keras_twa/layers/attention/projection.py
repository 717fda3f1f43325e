"""Projections of inputs to heads."""

from dataclasses import dataclass

import keras
from keras import ops


@dataclass(frozen=True)
class Projection:
    """One projection of an input to heads.

    Args:
        name: Name of the tensor, and of the sublayer that computes it.
        source: The input to project: "query", "key" or "value", or the name of a tensor
            that `Attention.remember` returns.
        heads: Number of heads.
        dim: Width per head.
    """

    name: str
    source: str
    heads: int
    dim: int


class HeadDense(keras.layers.EinsumDense):
    """`EinsumDense` that adds a bias `(H, 1)` along the heads on every backend.

    On TensorFlow, `keras.ops.add` mistakes a tensor with a single axis longer than 1
    for the bias of a convolution, and adds it along the time axis of an input with H
    steps.

    Call arguments:
        heads: A slice of the heads to compute, the second axis of the kernel. Defaults
            to all.
    """

    def call(self, inputs, training=None, heads=None):
        kernel, bias = self.kernel, self.bias
        if heads is not None:
            kernel = ops.convert_to_tensor(kernel)[:, heads]
            bias = None if bias is None else ops.convert_to_tensor(bias)[heads]
        outputs = ops.einsum(self.equation, inputs, kernel)
        if tuple(inputs.shape[:2]) == (0, 0):
            # On TensorFlow, `keras.ops.einsum` turns zero rows into one.
            outputs = outputs[:0]
        if bias is None:
            return outputs
        return outputs + ops.convert_to_tensor(bias)

    def quantized_call(self, inputs, *args, heads=None, **kwargs):
        if heads is not None:
            return self.quantized_call(inputs, *args, **kwargs)[:, :, heads]
        batch, steps, *rest = inputs.shape
        if 0 not in (batch, steps) or None in (batch, steps):
            return super().quantized_call(inputs, *args, **kwargs)
        # Keras takes the maximum of the inputs, which fails if there are none.
        one = ops.zeros((batch or 1, steps or 1, *rest), inputs.dtype)
        return super().quantized_call(one, *args, **kwargs)[:batch, :steps]

    def quantize(self, mode=None, type_check=True, config=None):
        """Quantizes the kernel; see `keras.Model.quantize`.

        Projections to one number per head, such as a gate, stay in floating point: they
        matter much, their kernels are small, and Keras would add the bias as described
        above.
        """
        # By default, Keras does not quantize subclasses, which may compute something
        # else than `EinsumDense`. This one does not.
        if self.partial_output_shape[-1] > 1:
            super().quantize(mode, type_check=False, config=config)
