"""TensorFlow: loops that compile to one body, and no fused attention."""

import keras
import numpy
import tensorflow as tf

from keras_twa.ops.backend.limits import LEAST_LOGIT
from keras_twa.ops.backend.limits import LEAST_TOTAL
from keras_twa.ops.nests import FlatPasses
from keras_twa.ops.nests import flatten
from keras_twa.ops.nests import map_tensors
from keras_twa.ops.nests import pack

FUSED_MASKS = False
KEY_SPAN = None


def prepare_process():
    """Does nothing: TensorFlow needs no configuration; see `Backend`."""


def device_name():
    """The accelerator, or "CPU"."""
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        return details.get("device_name", "GPU")
    return "CPU"


def device_peak_memory():
    """The peak memory of an accelerator in bytes, `None` on a CPU."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def random_states():
    """Returns no states: Keras passes a seed to every random operation here."""
    return []


def set_random_states(states):
    """Does nothing: there are no states."""
    del states


def turned(pairs, cosine, sine):
    """Rotates pairs of numbers by an angle; see `Backend`."""
    x, y = pairs[..., 0], pairs[..., 1]
    return tf.stack([x * cosine - y * sine, x * sine + y * cosine], axis=-1)


def on_gpu(x):
    """Always false: there are no GPU kernels to choose here; see `Backend`."""
    return False


def compiled(function):
    """Compiles a function into a graph; see `Backend`."""
    return tf.function(function, autograph=False)


def known(x):
    """The value of an integer tensor, if available; see `Backend`."""
    return int(x) if not tf.is_tensor(x) or tf.executing_eagerly() else None


def array(x):
    """A tensor as a NumPy array, if available; see `Backend`."""
    if not tf.is_tensor(x):
        return numpy.asarray(x)
    at_hand = hasattr(x, "numpy") and "GPU" not in x.device
    return x.numpy() if at_hand else None


def apply_if(condition, function, x):
    """`function(x)` or `x`, decided at run time; see `Backend`."""
    result = tf.cond(condition, lambda: function(x), lambda: x)
    return tf.ensure_shape(result, x.shape)


def switch(index, branches):
    """The result of one of several functions; see `Backend`."""
    return tf.switch_case(index, branches)


def inverse(places):
    """The inverses of permutations; see `Backend`."""
    return tf.argsort(places, axis=1)


def needs_gradient(x):
    """Always true, as only gradient tapes know; see `Backend`."""
    return True


def fuses(gpu, dtype, width, pairs):
    """Always false: TensorFlow has no such kernel; see `Backend`."""
    return False


def flexes(gpu, dtype, width, value_width):
    """Always false: TensorFlow has no such kernel; see `Backend`."""
    return False


def scan(body, carry, slices, results, reverse=False):
    """Loops over the first axis of all `slices`; see `Backend`."""
    count = tf.shape(flatten(slices)[0])[0]
    begin = flatten(carry)
    static = [x.shape for x in begin]
    arrays = [
        tf.TensorArray("float32", count, infer_shape=False) for _ in flatten(results)
    ]

    shapes: list[tf.TensorShape] = []

    def step(done, tensors, arrays):
        index = count - 1 - done if reverse else done
        part = map_tensors(lambda x: x[index], slices)
        after, found = body(pack(carry, tensors), part, index)
        after, found = flatten(after), flatten(found)
        shapes[:] = [x.shape for x in found]
        # The static shape of a sum may be less specific than the loop requires.
        after = [tf.ensure_shape(x, s) for x, s in zip(after, static, strict=True)]
        written = [a.write(index, x) for a, x in zip(arrays, found, strict=True)]
        return done + 1, after, written

    # The default of ten iterations at once takes much more memory, and no less time.
    _, end, arrays = tf.while_loop(
        lambda done, *_: done < count,
        step,
        (0, begin, arrays),
        parallel_iterations=2,
    )
    stacks = [
        tf.ensure_shape(array.stack(), [None, *shape])
        for array, shape in zip(arrays, shapes, strict=True)
    ]
    return pack(carry, end), pack(results, stacks)


def columns(x, first, count):
    """Some of the columns; see `Backend`."""
    zeros = [0] * (len(x.shape) - 1)
    return tf.slice(x, [*zeros, first], [*tf.unstack(tf.shape(x)[:-1]), count])


def add_columns(total, part, first):
    """Adds to some of the columns; see `Backend`."""
    zeros = [0] * (len(total.shape) - 1)
    count = tf.shape(part)[-1]

    # The operation behind `slice_update` has no gradient in TensorFlow.
    @tf.custom_gradient
    def add(total, part):
        there = columns(total, first, count)
        added = keras.ops.slice_update(total, [*zeros, first], there + part)
        return added, lambda gradient: (gradient, columns(gradient, first, count))

    return add(total, part)


def add_entries(total, part, places):
    """Adds to some entries of the second axis; see `Backend`."""
    shape = tf.shape(total)
    # TensorFlow scatters along the first axis only.
    index = tf.range(shape[0])[:, None] * shape[1] + places
    flat = tf.reshape(total, tf.concat([[-1], shape[2:]], axis=0))
    part = tf.reshape(part, tf.concat([[-1], shape[2:]], axis=0))
    flat = tf.tensor_scatter_nd_add(flat, tf.reshape(index, [-1, 1]), part)
    return tf.reshape(flat, shape)


def differentiable(passes, tensors):
    """Runs a forward pass with its backward pass; see `Backend`."""
    flat = FlatPasses(passes, tensors)
    forward = flat.forward
    if tf.executing_eagerly():
        # A tape would keep all tiles of an eager call. It does not record inside this.
        forward = tf.recompute_grad(forward)

    @tf.custom_gradient
    def run(*tensors):
        outputs = forward(*tensors)

        def differentiate(*gradients):
            needed = [x.dtype.is_floating for x in tensors]
            return flat.backward(tensors, outputs, gradients, needed)

        return outputs, differentiate

    # For variables, TensorFlow would call the gradient function in another way.
    outputs = run(*map(tf.convert_to_tensor, flatten(tensors)))
    return pack(flat.outputs, outputs)


def pullback(function, tensors, needed):
    """Runs `function` and prepares its gradient; see `Backend`."""
    del needed
    with tf.GradientTape() as tape:
        tape.watch(flatten(tensors))
        output = function(tensors)

    def pull(gradients):
        found = tape.gradient(
            flatten(output),
            flatten(tensors),
            flatten(gradients),
            unconnected_gradients="zero",
        )
        return pack(tensors, found)

    return output, pull


def layer_normalization(x, gamma, beta, epsilon):
    """Not Keras's own function; see `Backend`.

    Keras takes the variance from `tf.nn.moments`, which treats the mean in it as a
    constant: first derivatives are right, but second derivatives are not.
    """
    dtype = x.dtype
    x = tf.cast(x, keras.backend.result_type(dtype.name, "float32"))
    x = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(x), axis=-1, keepdims=True)
    x = x * tf.math.rsqrt(variance + epsilon)
    if gamma is not None:
        x = x * tf.cast(gamma, x.dtype)
    if beta is not None:
        x = x + tf.cast(beta, x.dtype)
    return tf.cast(x, dtype)


def floored_inverse(x, floor):
    """`1 / max(x, floor)`; see `Backend`."""
    return tf.math.reciprocal(tf.maximum(x, floor))


def for_queries(x, count):
    """A tensor of keys, which broadcasts to the queries of a tile; see `Backend`."""
    del count
    return x[:, None]


def matmul(x, y):
    """Product of two stacks of matrices; see `Backend`."""
    return tf.matmul(x, y)


def exp_difference(x, y):
    """`exp(x - y)`; see `Backend`."""
    return tf.exp(x - y)


def softmax(logits, axes):
    """The terms of a softmax, unnormalised; see `Backend`."""
    highest = tf.reduce_max(logits, axes, keepdims=True)
    highest = tf.maximum(highest, LEAST_LOGIT)
    weights = exp_difference(logits, highest)
    total = tf.reduce_sum(weights, axes, keepdims=True)
    total = tf.maximum(total, LEAST_TOTAL)
    return weights, total, highest + tf.math.log(total)


def softmax_gradient(weights, gradient, mean):
    """`weights * (gradient - mean)`; see `Backend`."""
    return weights * (gradient - mean)


def kept(left, right, threshold):
    """Which weights to keep, 1 or 0; see `Backend`."""
    x = tf.bitwise.bitwise_xor(left[:, :, None], right[:, None, :]) * 0x7FEB352D
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, 15))
    x = x * (0x846CA68B - 2**32)
    return tf.cast(tf.bitwise.bitwise_and(x, 0x7FFFFFFF) < threshold, "float32")


def keep(weights, kept):
    """The weights that are kept, else zero; see `Backend`."""
    # Without XLA, `where` takes several times as long.
    return weights * kept


keep_only = keep


def fused_attention(query, key, value, mask, causal, scale):
    """Not available on TensorFlow; see `fuses`."""
    raise NotImplementedError(
        "TensorFlow has no fused attention. Received: backend=tensorflow"
    )


def flex_attention(query, key, value, constants, mask, exponent, log, adds):
    """Not available on TensorFlow; see `flexes`."""
    raise NotImplementedError(
        "FlexAttention needs PyTorch. Received: backend=tensorflow"
    )


def future_bias(last_visible, keys):
    """0, or `-inf` for keys after the last visible one; see `Backend`."""
    return tf.where(keys[:, None, :] > last_visible[:, None], float("-inf"), 0.0)
