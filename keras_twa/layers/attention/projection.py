"""What a variant makes of its inputs, head by head."""

from dataclasses import dataclass

import keras
from keras import ops


@dataclass(frozen=True)
class Projection:
    """One tensor per head that a variant wants made from an input.

    Args:
        name: Name of the tensor, and of the sublayer that makes it.
        source: "query", "key" or "value": the input it is made from; or a name of what
            `Attention.remember` makes of them.
        heads: Number of heads.
        dim: Width per head.
    """

    name: str
    source: str
    heads: int
    dim: int


class HeadDense(keras.layers.EinsumDense):
    """`EinsumDense` that adds a bias `(H, 1)` along the heads on every backend.

    On TensorFlow, `keras.ops.add` takes what has one axis longer than 1 for the
    bias of a convolution, and adds it along the time of an input with H steps.
    """

    def call(self, inputs, training=None):
        outputs = ops.einsum(self.equation, inputs, self.kernel)
        if tuple(inputs.shape[:2]) == (0, 0):
            # `keras.ops.einsum` makes one row of none on TensorFlow.
            outputs = outputs[:0]
        if self.bias is None:
            return outputs
        return outputs + ops.convert_to_tensor(self.bias)

    def quantized_call(self, inputs, *args, **kwargs):
        batch, steps, *rest = inputs.shape
        if 0 not in (batch, steps) or None in (batch, steps):
            return super().quantized_call(inputs, *args, **kwargs)
        # Keras looks for the largest input.
        one = ops.zeros((batch or 1, steps or 1, *rest), inputs.dtype)
        return super().quantized_call(one, *args, **kwargs)[:batch, :steps]

    def quantize(self, mode=None, type_check=True, config=None):
        """Quantizes the kernel; see `keras.Model.quantize`.

        One number per head, such as a gate, stays in floating point: much hangs on it,
        its kernel is small, and Keras would add its bias as above.
        """
        # Keras leaves subclasses out, as they may compute something else than
        # `EinsumDense`. This one does not.
        if self.partial_output_shape[-1] > 1:
            super().quantize(mode, type_check=False, config=config)
