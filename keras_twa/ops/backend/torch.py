"""PyTorch: scaled dot-product attention in one kernel, and loops in Python."""

import functools
import importlib.util
import math

import keras
import numpy
import torch
from torch.nn.attention import SDPBackend
from torch.nn.attention import sdpa_kernel

from keras_twa.ops.backend.limits import LEAST_LOGIT
from keras_twa.ops.backend.limits import LEAST_TOTAL
from keras_twa.ops.backend.torch_gradients import differentiable as differentiable
from keras_twa.ops.backend.torch_gradients import kernel_output
from keras_twa.ops.backend.torch_gradients import pullback as pullback
from keras_twa.ops.backend.torch_gradients import transformed
from keras_twa.ops.nests import flatten
from keras_twa.ops.nests import pack

LOG2_E = math.log2(math.e)
# On a CPU, a stack of products with spans of this size is up to four times as fast as
# one product with all keys.
KEY_SPAN = 512
FUSED_MASKS = True
# The bits of -inf in float32, as a signed integer.
MINUS_INFINITY = 0xFF800000 - 2**32


def prepare_process():
    """Makes the C library keep freed memory; see `Backend`.

    glibc returns freed memory to the system at once. Getting it back, page by page, can
    take as long as the arithmetic on it. The amount of free memory that glibc keeps is
    twice the largest allocation freed so far, up to 32 MB. So an allocation of that
    size is made and freed here. It is never written to, and costs nothing.
    """
    torch.empty(2**25 - 2**14, dtype=torch.uint8)


def device_name():
    """The accelerator, or "CPU"."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def device_peak_memory():
    """The peak memory of an accelerator in bytes, `None` on a CPU."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def random_states():
    """The states of PyTorch's own generators; see `Backend`."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states += torch.cuda.get_rng_state_all()
    return [state.numpy().copy() for state in states]


def set_random_states(states):
    """Sets PyTorch's own generators to states that `random_states` returned."""
    host, *devices = map(torch.from_numpy, states)
    torch.set_rng_state(host)
    # The states may come from a machine with more GPUs.
    for device, state in zip(range(torch.cuda.device_count()), devices, strict=False):
        torch.cuda.set_rng_state(state, device)


def scan(body, carry, slices, results, reverse=False):
    """Loops over the first axis of all `slices`; see `Backend`."""
    parts = list(zip(*(torch.unbind(x) for x in flatten(slices)), strict=True))
    columns: list[list[torch.Tensor]] = [[] for _ in flatten(results)]
    step = -1 if reverse else 1
    for index in range(len(parts))[::step]:
        carry, result = body(carry, pack(slices, parts[index]), index)
        for column, x in zip(columns, flatten(result), strict=True):
            column.append(x)
    # Taken out of the list, so that only one result is held twice.
    stacks = [torch.stack(columns.pop(0)[::step]) for _ in range(len(columns))]
    return carry, pack(results, stacks)


def columns(x, first, count):
    """Some of the columns; see `Backend`."""
    return x.narrow(-1, first, count)


def add_columns(total, part, first):
    """Adds to some of the columns, in place; see `Backend`."""
    total[..., first : first + part.shape[-1]] += part
    return total


def add_entries(total, part, places):
    """Adds to some entries of the second axis, in place; see `Backend`."""
    return total.index_add_(1, places, part)


def for_queries(x, count):
    """A tensor of keys, which broadcasts to the queries of a tile; see `Backend`."""
    del count
    return x[:, None]


def matmul(x, y):
    """Product of two stacks of matrices; see `Backend`."""
    rows = max(x.shape[0], y.shape[0])
    # One large product runs on all cores; a stack of one product does not.
    if rows == 1:
        return torch.mm(x[0], y[0])[None]
    return torch.bmm(x.expand(rows, -1, -1), y.expand(rows, -1, -1))


class _ExpDifference(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        # PyTorch's `exp` takes about three times as long as its `exp2` on a CPU.
        output = torch.sub(x, y).mul_(LOG2_E).exp2_()
        ctx.save_for_backward(output)
        ctx.shapes = x.shape, y.shape
        return output

    @staticmethod
    def backward(ctx, gradient):
        (output,) = ctx.saved_tensors
        gradient = gradient * output
        first, second = (
            gradient.sum_to_size(shape) if needed else None
            for shape, needed in zip(ctx.shapes, ctx.needs_input_grad, strict=True)
        )
        return first, None if second is None else -second


def exp_difference(x, y):
    """`exp(x - y)`; see `Backend`."""
    if transformed():
        return torch.exp(x - y)
    return _ExpDifference.apply(x, y)


def softmax(logits, axes):
    """The terms of a softmax, unnormalised; see `Backend`."""
    # The largest logit cancels, and so needs no gradient.
    highest = torch.amax(logits.detach(), axes, keepdim=True).clamp_min_(LEAST_LOGIT)
    weights = exp_difference(logits, highest)
    total = torch.sum(weights, axes, keepdim=True).clamp_min_(LEAST_TOTAL)
    return weights, total, torch.log(total).add_(highest)


def softmax_gradient(weights, gradient, mean):
    """`weights * (gradient - mean)`; see `Backend`."""
    return gradient.sub_(mean).mul_(weights)


def future_bias(last_visible, keys):
    """0, or `-inf` for keys after the last visible; see `Backend`."""
    # On bits: the sign of the difference selects the bits of -inf. Arithmetic with
    # booleans is slow on a CPU.
    hidden = torch.sub(last_visible[:, None], keys[:, None, :])
    hidden.bitwise_right_shift_(31)
    return hidden.bitwise_and_(MINUS_INFINITY).view(torch.float32)


def kept(left, right, threshold):
    """Which weights to keep, as bit masks; see `Backend`."""
    x = torch.bitwise_xor(left[:, :, None], right[:, None, :]).mul_(0x7FEB352D)
    x = x.bitwise_xor_(x >> 15).mul_(0x846CA68B - 2**32)
    return x.bitwise_and_(0x7FFFFFFF).sub_(threshold).bitwise_right_shift_(31)


def keep(weights, kept):
    """The weights that are kept, else zero; see `Backend`."""
    if transformed():
        return torch.where(kept != 0, weights, 0.0)
    return _Keep.apply(weights, kept)


def keep_only(weights, kept):
    """Like `keep`, in place; see `Backend`."""
    if torch.is_grad_enabled() or transformed():
        return keep(weights, kept)
    return weights.view(torch.int32).bitwise_and_(kept).view(torch.float32)


class _Keep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights, kept):
        ctx.save_for_backward(kept)
        return torch.bitwise_and(weights.view(torch.int32), kept).view(torch.float32)

    @staticmethod
    def backward(ctx, gradient):
        (kept,) = ctx.saved_tensors
        return keep(gradient.contiguous(), kept), None


class _FlooredInverse(torch.autograd.Function):
    """Makes few passes over memory, whose traffic dominates the cost."""

    @staticmethod
    def forward(ctx, x, floor):
        inverse = torch.maximum(x, floor).reciprocal_()
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx, gradient):
        (inverse,) = ctx.saved_tensors
        return (gradient * inverse).mul_(inverse).neg_(), None


def floored_inverse(x, floor):
    """`1 / max(x, floor)`; see `Backend`."""
    if transformed():
        # The gradient ignores the floor.
        return torch.reciprocal(x + (torch.maximum(x, floor) - x).detach())
    return _FlooredInverse.apply(x, floor)


def layer_normalization(x, gamma, beta, epsilon):
    """Keras's own function; see `Backend`."""
    return keras.ops.layer_normalization(x, gamma, beta, epsilon=epsilon)


def turned(pairs, cosine, sine):
    """Rotates pairs of numbers by an angle; see `Backend`."""
    # With complex numbers, this is one pass.
    turn = torch.complex(cosine, sine)
    pairs = _from_even_place(pairs.contiguous())
    output = torch.view_as_real(torch.view_as_complex(pairs) * turn)
    if transformed():
        # A product has a gradient of its own, from the beginning of its memory.
        return output * 1.0
    if output.requires_grad:
        output.register_hook(lambda x: _from_even_place(x.contiguous()))
    return output


def _from_even_place(x):
    """A tensor that starts at an even place of memory, as complex numbers do."""
    return x.clone() if x.storage_offset() % 2 else x


def on_gpu(x):
    """Whether `x` is on a GPU that runs Triton kernels; see `Backend`."""
    return torch.is_tensor(x) and x.is_cuda and _runs_triton(x.device)


@functools.cache
def _runs_triton(device):
    recent = torch.cuda.get_device_capability(device) >= (8, 0)
    return recent and importlib.util.find_spec("triton") is not None


def compiled(function):
    """The function itself, without gradients; see `Backend`."""
    return torch.no_grad()(function)


def known(x):
    """The value of an integer tensor, if available; see `Backend`."""
    if not torch.is_tensor(x):
        return int(x)
    return None if x.is_cuda or torch.compiler.is_compiling() else int(x)


def array(x):
    """A tensor as a NumPy array, if available; see `Backend`."""
    if not torch.is_tensor(x):
        return numpy.asarray(x)
    if x.is_cuda or torch.compiler.is_compiling():
        return None
    if torch._C._functorch.is_functorch_wrapped_tensor(x) or x.is_meta:
        return None
    x = x.detach()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def apply_if(condition, function, x):
    """`x` if the condition is known to be false, else `function(x)`; see `Backend`."""
    return x if known(condition) == 0 else function(x)


def switch(index, branches):
    """The result of one of several functions; see `Backend`."""
    return branches[int(index)]()


def inverse(places):
    """The inverses of permutations; see `Backend`."""
    # Not a sort, which PyTorch does not export to ONNX.
    steps = torch.arange(places.shape[1], device=places.device, dtype=places.dtype)
    found = torch.zeros_like(places)
    return found.scatter(1, places.long(), steps.expand(places.shape))


def needs_gradient(x):
    """Whether `x` requires a gradient; see `Backend`."""
    return torch.is_tensor(x) and x.requires_grad


def fuses(gpu, dtype, width, pairs):
    """Always true: PyTorch selects the best kernel for a call; see `Backend`."""
    return True


def fused_attention(query, key, value, mask, causal, scale):
    """Attention by a kernel that PyTorch selects; see `Backend`."""
    # The kernel loses more time on strided heads than this copy takes.
    query, key, value = (x.transpose(1, 2).contiguous() for x in (query, key, value))
    tensors = [query, key, value, *([] if mask is None else [mask])]
    options = {"is_causal": causal, "scale": scale}
    if transformed():
        (output,) = _attention_in_steps(*tensors, **options)
    else:
        output = torch.nn.functional.scaled_dot_product_attention(*tensors, **options)
        in_steps = functools.partial(_attention_in_steps, **options)
        output = kernel_output(output, in_steps, tensors)
    return output.transpose(1, 2)


def _attention_in_steps(*tensors, **options):
    """The same by products and a softmax, differentiable any number of times."""
    with sdpa_kernel(SDPBackend.MATH):
        attend = torch.nn.functional.scaled_dot_product_attention
        return (attend(*tensors, **options),)


def flexes(gpu, dtype, width, value_width):
    """Whether the vectors of a tile fit into a GPU's cache; see `Backend`."""
    if dtype == "bfloat16":
        # Queries and keys have three parts; see `torch_flex.py`.
        return gpu and 3 * width <= 256 and value_width <= 256
    return gpu and width <= 128 and value_width <= 128


def flex_attention(query, key, value, constants, mask, exponent, log, adds):
    """FlexAttention for forces; see `Backend`."""
    # Imported here, as the import is slow and rarely needed.
    from keras_twa.ops.backend import torch_flex

    return torch_flex.attend(query, key, value, constants, mask, exponent, log, adds)
