"""Turns a layer into a step that can be measured, on every backend."""

import contextlib
import math
import random

import keras
import numpy as np
import peers
from keras import ops

SHORT = 8
# How many steps a layer takes in one call on the way to a late step.
PART = 10_000
BYTES = {"float32": 4, "bfloat16": 2, "int32": 4, "bool": 1}


class Subject:
    """A layer or a PyTorch module, and how to call it.

    Args:
        layer: A Keras layer or a `torch.nn.Module`.
        inputs: How many times it takes the sequence.
        forward: Whether to compute no gradients.
        compiled: Whether TensorFlow compiles with XLA.
        positions: Whether to pass the times of the steps.
        **options: Further arguments of the call.
    """

    def __init__(
        self,
        layer,
        inputs=2,
        forward=False,
        compiled=True,
        positions=False,
        **options,
    ):
        self.layer = layer
        self.inputs = inputs
        self.forward = forward
        self.compiled = compiled
        self.positions = positions
        self.options = options

    @classmethod
    def of(cls, case, sizes):
        """Returns the subject of a case, built."""
        # Layers with the same weights in the same order get the same numbers. Keras's
        # own function for seeds would load TensorFlow on every backend.
        random.seed(0)
        layer, inputs = peers.make(case, sizes)
        options = {"use_causal_mask": True} if case.causal else {}
        options |= {"training": True} if case.training else {}
        subject = cls(
            layer, inputs, case.forward, case.compiled, case.positions, **options
        )
        x = sequences(SHORT, sizes)
        if subject.is_keras():
            subject(x)
        else:
            layer.to(x.device, x.dtype)
        return subject

    def is_keras(self):
        return isinstance(self.layer, keras.layers.Layer)

    def weights(self):
        if not self.is_keras():
            return list(self.layer.parameters())
        return [variable.value for variable in self.layer.trainable_variables]

    def feed(self, x):
        """The arguments of one call."""
        options = dict(self.options)
        if self.positions:
            options["query_positions"] = ops.arange(x.shape[1], dtype="float32")
        return [x] * self.inputs, options

    def __call__(self, x):
        inputs, options = self.feed(x)
        return self.layer(*inputs, **options)

    def has_fixed_state(self):
        """Whether single steps do not change the shapes of a state."""
        layer = self.layer
        if not getattr(layer, "prefix_invariant", True):
            return False
        return layer.has_fixed_state()

    def state_bytes(self, steps):
        """The size of the state of a sequence of this length, `None` if it has none."""
        if not getattr(self.layer, "prefix_invariant", False):
            return None
        slots = self.layer.state_spec(max_length=steps).values()
        return sum(math.prod(slot.shape) * BYTES[slot.dtype] for slot in slots)

    def state_after(self, steps, sizes, state=None):
        """The state after this many further steps, taken in parts."""
        with no_gradients():
            while steps > 0:
                count = min(steps, PART)
                _, state = self.layer(
                    sequences(count, sizes),
                    use_causal_mask=True,
                    initial_state=state,
                    return_state=True,
                )
                steps -= count
        return state

    def decoding_step(self):
        """A function from a token and a state to the output and the next state."""
        layer = self.layer
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.function(layer.step, jit_compile=True)
        if keras.backend.backend() == "jax":
            import jax

            return jax.jit(layer.step)

        def step(token, state):
            with no_gradients():
                return layer.step(token, state)

        return step

    def step(self):
        """A function from `x` to the output, and the gradients of `x` and all weights.

        It is compiled as Keras compiles training on that backend.
        """
        makers = {"jax": jax_step, "tensorflow": tensorflow_step, "torch": torch_step}
        return makers[keras.backend.backend()](self)


def use_exact_products():
    """Stops JAX and TensorFlow from rounding float32 in matrix products on GPUs."""
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)


def sequences(length, sizes):
    width = sizes.heads * sizes.dim
    noise = np.random.default_rng(0).normal(size=(sizes.batch, length, width))
    return ops.cast(ops.convert_to_tensor(noise.astype("float32")), sizes.dtype)


def jax_step(subject):
    import jax

    layer = subject.layer
    frozen = [variable.value for variable in layer.non_trainable_variables]
    weights = subject.weights()

    def loss(x, weights):
        inputs, options = subject.feed(x)
        outputs, _ = layer.stateless_call(weights, frozen, *inputs, **options)
        return summed_squares(outputs), first(outputs)

    if subject.forward:
        infer = jax.jit(lambda x, weights: loss(x, weights)[1])
        return lambda x: [infer(x, weights)]
    graded = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))

    def step(x):
        (_, output), (in_x, in_weights) = graded(x, weights)
        return [output, in_x, *in_weights]

    return step


def tensorflow_step(subject):
    import tensorflow as tf

    weights = subject.weights()

    @tf.function(jit_compile=subject.compiled)
    def step(x):
        if subject.forward:
            return [first(subject(x))]
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = first(subject(x))
            loss = summed_squares(output)
        return [output, *tape.gradient(loss, [x, *weights])]

    return step


def torch_step(subject):
    import torch

    weights = subject.weights()

    def infer(x):
        with no_gradients():
            return [first(subject(x))]

    def step(x):
        x = x.detach().requires_grad_()
        output = first(subject(x))
        # A sequence may be too short to reach every weight.
        gradients = torch.autograd.grad(
            summed_squares(output), [x, *weights], materialize_grads=True
        )
        return [output.detach(), *gradients]

    return infer if subject.forward else step


def no_gradients():
    """A context in which PyTorch keeps nothing for a backward pass."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.no_grad()
    return contextlib.nullcontext()


def first(outputs):
    """The output, without the attention weights that a layer may return with it."""
    return outputs[0] if isinstance(outputs, tuple | list) else outputs


def summed_squares(outputs):
    return ops.sum(ops.square(ops.cast(first(outputs), "float32")))


def wait_for(results):
    """Waits for the numbers: devices compute while Python runs ahead."""
    # Copies one number of each result to the host.
    for result in results[:2]:
        ops.convert_to_numpy(ops.cast(result[(0,) * len(result.shape)], "float32"))
