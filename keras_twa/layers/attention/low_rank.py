"""A low-rank projection to heads."""

import keras
from keras import ops

from keras_twa.layers.attention.projection import HeadDense


class LowRank(keras.layers.Layer):
    """`bias + activation(x W_down) W_up`, per head.

    Args:
        rank: Width between the two.
        projection: The `Projection` that it computes.
        activation: Name of the activation between the two.
        bias: Function from a shape `(H, D)` to the initial bias, or `None` for none.
        options: Options of a dense layer, for the kernel of `W_up`. `W_down` is
            initialized with zeros, so that at first the output is the same for all
            steps.

    Call arguments:
        inputs: `(B, T, F)`.
        heads: A slice of the heads to compute. Defaults to all.
    """

    def __init__(self, rank, projection, activation, bias, options):
        super().__init__(name=projection.name, dtype=options["dtype"])
        shape = (projection.heads, projection.dim)
        self.activation = keras.activations.get(activation)
        options = {k: x for k, x in options.items() if not k.startswith("bias")}
        # b: batch, t: time, f: features, r: rank, h: heads, d: width of a head.
        self.down = HeadDense(
            "btf,fr->btr",
            output_shape=(None, rank),
            name="down",
            **{**options, "kernel_initializer": "zeros"},
        )
        self.up = HeadDense(
            "btr,rhd->bthd", output_shape=(None, *shape), name="up", **options
        )
        self._rank, self._shape, self._initial_bias = rank, shape, bias

    def build(self, input_shape):
        self.down.build(input_shape)
        self.up.build((*input_shape[:-1], self._rank))
        self.bias = None
        if self._initial_bias is not None:
            self.bias = self.add_weight(
                shape=self._shape,
                initializer=keras.initializers.Constant(
                    self._initial_bias(self._shape).astype("float32")
                ),
                name="bias",
            )

    def call(self, inputs, heads=None):
        outputs = self.up(self.activation(self.down(inputs)), heads=heads)
        if self.bias is None:
            return outputs
        bias = ops.cast(self.bias, outputs.dtype)
        return outputs + (bias if heads is None else bias[heads])
