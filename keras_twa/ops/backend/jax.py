"""JAX: loops that compile to one body, and cuDNN's fused attention on GPUs."""

import functools
from typing import Literal

import jax
import keras
import numpy

from keras_twa.ops.backend.limits import LEAST_LOGIT
from keras_twa.ops.backend.limits import LEAST_TOTAL

FUSED_KERNEL: Literal["cudnn", "xla"] = "cudnn"
# JAX would turn a mask of keys into a bias on all pairs.
FUSED_MASKS = False
FUSED_DTYPES = ("float16", "bfloat16")
KEY_SPAN = None


def prepare_process():
    """Does nothing: JAX needs no configuration; see `Backend`."""


def device_name():
    """The accelerator, or "CPU"."""
    device = jax.devices()[0]
    return "CPU" if device.platform == "cpu" else device.device_kind


def device_peak_memory():
    """The peak memory of an accelerator in bytes, `None` on a CPU."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def random_states():
    """Returns no states: Keras passes a seed to every random operation here."""
    return []


def set_random_states(states):
    """Does nothing: there are no states."""
    del states


def turned(pairs, cosine, sine):
    """Rotates pairs of numbers by an angle; see `Backend`."""
    x, y = pairs[..., 0], pairs[..., 1]
    return jax.numpy.stack([x * cosine - y * sine, x * sine + y * cosine], axis=-1)


def on_gpu(x):
    """Whether new arrays go to a GPU that runs cuDNN's attention; see `Backend`."""
    del x
    # JAX adds its settings to `config` at run time: type checkers cannot see them.
    chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
    device = chosen or jax.devices()[0]
    device = jax.devices(device)[0] if isinstance(device, str) else device
    if device.platform != "gpu" or "cuda" not in device.client.platform_version:
        return False
    return float(device.compute_capability) >= 8.0


def compiled(function):
    """Compiles a function as a whole; see `Backend`."""
    return jax.jit(function)


def known(x):
    """The value of an integer tensor, if available; see `Backend`."""
    return None if isinstance(x, jax.core.Tracer) else int(x)


def array(x):
    """A tensor as a NumPy array, if available; see `Backend`."""
    if isinstance(x, jax.core.Tracer):
        return None
    x = jax.numpy.asarray(x)
    # On a GPU, reading would wait for all pending computations.
    cpu = x.is_fully_addressable and {d.platform for d in x.devices()} == {"cpu"}
    return numpy.asarray(x) if cpu else None


def apply_if(condition, function, x):
    """`function(x)` or `x`, decided at run time; see `Backend`."""
    return jax.lax.cond(condition, function, lambda y: y, x)


def switch(index, branches):
    """The result of one of several functions; see `Backend`."""
    return jax.lax.switch(index, branches)


def inverse(places):
    """The inverses of permutations; see `Backend`."""
    # Not a sort, which takes much longer on a CPU.
    steps = jax.numpy.arange(places.shape[1], dtype="int32")
    row = jax.numpy.arange(places.shape[0])[:, None]
    found = jax.numpy.zeros(places.shape, "int32")
    return found.at[row, places].set(steps, unique_indices=True)


def needs_gradient(x):
    """Always true, as only the tracing transformation knows; see `Backend`."""
    return True


def fuses(gpu, dtype, width, pairs):
    """Whether cuDNN supports the call without a bias on all pairs; see `Backend`.

    Given a mask of pairs, it would show all keys to a query that sees none.
    """
    return gpu and dtype in FUSED_DTYPES and width <= 128 and not pairs


def flexes(gpu, dtype, width, value_width):
    """Always false: JAX has no such kernel; see `Backend`."""
    return False


def scan(body, carry, slices, results, reverse=False):
    """Loops over the first axis of all `slices`; see `Backend`."""
    del results
    count = jax.tree.leaves(slices)[0].shape[0]
    indices = jax.numpy.arange(count, dtype="int32")
    return jax.lax.scan(
        lambda carry, part: body(carry, *part),
        carry,
        (slices, indices),
        reverse=reverse,
    )


def columns(x, first, count):
    """Some of the columns; see `Backend`."""
    return jax.lax.dynamic_slice_in_dim(x, first, count, x.ndim - 1)


def add_columns(total, part, first):
    """Adds to some of the columns; see `Backend`."""
    there = columns(total, first, part.shape[-1])
    return jax.lax.dynamic_update_slice_in_dim(
        total, there + part, first, total.ndim - 1
    )


def add_entries(total, part, places):
    """Adds to some entries of the second axis; see `Backend`."""
    return total.at[:, places].add(part)


def differentiable(passes, tensors):
    """Runs a forward pass with its backward pass; see `Backend`."""
    # Outside of `jit`, each call would compile its loops again.
    return _compiled(passes, tensors)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(passes, tensors):
    return passes.forward(tensors)


def _save(passes, tensors):
    outputs = passes.forward(tensors)
    return outputs, (tensors, outputs)


def _differentiate(passes, saved, gradients):
    tensors, outputs = saved
    needed = jax.tree.map(
        lambda x: jax.numpy.issubdtype(x.dtype, jax.numpy.floating), tensors
    )
    found = passes.backward(tensors, outputs, gradients, needed)
    return ({name: found.get(name) for name in tensors},)


_run.defvjp(_save, _differentiate)
_compiled = jax.jit(_run, static_argnums=0)


def pullback(function, tensors, needed):
    """Runs `function` and prepares its gradient; see `Backend`."""
    del needed
    output, pull = jax.vjp(function, tensors)
    return output, lambda gradient: pull(gradient)[0]


def layer_normalization(x, gamma, beta, epsilon):
    """Keras's own function; see `Backend`."""
    return keras.ops.layer_normalization(x, gamma, beta, epsilon=epsilon)


def floored_inverse(x, floor):
    """`1 / max(x, floor)`; see `Backend`."""
    return jax.numpy.reciprocal(jax.numpy.maximum(x, floor))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def for_queries(x, count):
    """A tensor of keys once for each query of a tile; see `Backend`."""
    return jax.numpy.broadcast_to(x[:, None], (x.shape[0], count, *x.shape[1:]))


def _sum_over_queries(count, _, gradient):
    # As a product, because XLA sums over such an axis slowly on a CPU.
    ones = jax.numpy.ones((gradient.shape[0], 1, count), gradient.dtype)
    flat = gradient.reshape(gradient.shape[0], count, -1)
    total = jax.numpy.matmul(ones, flat)
    return (total.reshape(gradient.shape[0], *gradient.shape[2:]),)


for_queries.defvjp(lambda x, count: (for_queries(x, count), None), _sum_over_queries)


def matmul(x, y):
    """Product of two stacks of matrices; see `Backend`."""
    return jax.numpy.matmul(x, y)


def exp_difference(x, y):
    """`exp(x - y)`; see `Backend`."""
    return jax.numpy.exp(x - y)


def softmax(logits, axes):
    """The terms of a softmax, unnormalised; see `Backend`."""
    highest = jax.numpy.max(logits, axes, keepdims=True)
    highest = jax.numpy.maximum(highest, LEAST_LOGIT)
    weights = exp_difference(logits, highest)
    total = jax.numpy.sum(weights, axes, keepdims=True)
    total = jax.numpy.maximum(total, LEAST_TOTAL)
    return weights, total, highest + jax.numpy.log(total)


def softmax_gradient(weights, gradient, mean):
    """`weights * (gradient - mean)`; see `Backend`."""
    return weights * (gradient - mean)


def kept(left, right, threshold):
    """Which weights to keep; see `Backend`."""
    x = (left[:, :, None] ^ right[:, None, :]) * 0x7FEB352D
    x = (x ^ (x >> 15)) * (0x846CA68B - 2**32)
    return (x & 0x7FFFFFFF) < threshold


def keep(weights, kept):
    """The weights that are kept, else zero; see `Backend`."""
    return jax.numpy.where(kept, weights, 0.0)


def fused_attention(query, key, value, mask, causal, scale):
    """Attention by cuDNN, without a mask; see `Backend`."""
    width = query.shape[-1]
    # The kernel requires a multiple of 8.
    beside = [(0, 0)] * 3 + [(0, -width % 8)]
    query, key, value = (jax.numpy.pad(x, beside) for x in (query, key, value))
    output = jax.nn.dot_product_attention(
        query,
        key,
        value,
        mask=mask,
        scale=scale,
        is_causal=causal,
        implementation=FUSED_KERNEL,
    )
    return output[..., :width]


keep_only = keep


def flex_attention(query, key, value, constants, mask, exponent, log, adds):
    """Not available on JAX; see `flexes`."""
    raise NotImplementedError("FlexAttention needs PyTorch. Received: backend=jax")


def future_bias(last_visible, keys):
    """0, or `-inf` for keys after the last visible one; see `Backend`."""
    return jax.numpy.where(
        keys[:, None, :] > last_visible[:, None], -jax.numpy.inf, 0.0
    )
