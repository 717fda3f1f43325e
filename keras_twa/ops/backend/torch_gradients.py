"""PyTorch: hand-written gradients, and ordinary operations where they cannot be used.

A hand-written backward pass is fast, since it works in place and keeps little. But
PyTorch cannot differentiate it again. Its decorator for this case,
`once_differentiable`, does not help: `torch.autograd.grad` prunes everything that does
not lead to the requested tensors, and the error with it. The result would then silently
lack a term. So if a gradient is to be differentiated (`create_graph=True`), it is that
of the forward pass in ordinary operations. `torch.func` and forward mode use ordinary
operations from the beginning. These operations keep their tiles.
"""

import torch
from torch.autograd import forward_ad

from keras_twa.ops.nests import FlatPasses
from keras_twa.ops.nests import flatten
from keras_twa.ops.nests import map_tensors
from keras_twa.ops.nests import pack


def transformed():
    """Whether `torch.func` or forward mode is active: they need ordinary operations."""
    if torch.compiler.is_compiling():
        return False
    # PyTorch has no public names for these.
    levels = torch._C._are_functorch_transforms_active()
    return levels or forward_ad._current_level >= 0


# Not compiled: a compiler would unroll the loops over tiles, and take minutes.
@torch.compiler.disable
def differentiable(passes, tensors):
    """Runs a forward pass with its backward pass; see `Backend`."""
    if transformed():
        return passes.forward(tensors)
    flat = FlatPasses(passes, tensors)
    outputs = _Differentiable.apply(flat, *flatten(tensors))
    return pack(flat.outputs, outputs)


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx, passes, *tensors):
        outputs = passes.forward(*tensors)
        ctx.passes = passes
        ctx.num_inputs = len(tensors)
        ctx.save_for_backward(*tensors, *outputs)
        return outputs

    @staticmethod
    def backward(ctx, *gradients):
        # Read once: with gradient checkpointing, they can be read only once.
        saved = ctx.saved_tensors
        tensors, outputs = saved[: ctx.num_inputs], saved[ctx.num_inputs :]
        needed = ctx.needs_input_grad[1:]
        if _by_hand(gradients):
            return None, *ctx.passes.backward(tensors, outputs, gradients, needed)
        return None, *_gradients(ctx.passes.forward, tensors, gradients, needed)


def kernel_output(output, function, tensors):
    """The output of a kernel whose own gradient cannot be differentiated.

    Args:
        output: The output of the kernel for the tensors.
        function: Function of the tensors that returns a tuple of the same output, in
            ordinary operations.
        tensors: The tensors.

    Returns:
        The output. Its gradient is that of the kernel, or that of the function if the
        gradient is to be differentiated.
    """
    if torch.compiler.is_compiling() or not output.requires_grad:
        return output
    return _KernelOutput.apply(function, output, *tensors)


class _KernelOutput(torch.autograd.Function):
    @staticmethod
    def forward(ctx, function, output, *tensors):
        ctx.function = function
        ctx.save_for_backward(*tensors)
        return output.view_as(output)

    @staticmethod
    def backward(ctx, gradient):
        needed = ctx.needs_input_grad[2:]
        if _by_hand([gradient]):
            return None, gradient, *(None for _ in needed)
        found = _gradients(ctx.function, ctx.saved_tensors, [gradient], needed)
        return None, None, *found


def _by_hand(gradients):
    """Whether a hand-written backward pass is enough for these gradients."""
    if torch.is_grad_enabled() or transformed():
        return False
    # `is_grads_batched` passes several gradients at once.
    return not any(torch._C._functorch.is_legacy_batchedtensor(x) for x in gradients)


def _gradients(function, tensors, gradients, needed):
    """The gradients of a function of ordinary operations, `None` if not needed."""
    differentiated_again = torch.is_grad_enabled()
    with torch.enable_grad():
        # One tensor may be computed from another; no view is.
        views = [x.view_as(x) for x in tensors]
        outputs = function(*views)
        wanted = [x for x, need in zip(views, needed, strict=True) if need]
        pairs = [
            (x, gradient)
            for x, gradient in zip(outputs, gradients, strict=True)
            if x.requires_grad
        ]
        found = iter(
            torch.autograd.grad(
                [x for x, _ in pairs],
                wanted,
                [gradient for _, gradient in pairs],
                create_graph=differentiated_again,
                allow_unused=True,
            )
        )
    return [next(found) if need else None for need in needed]


def pullback(function, tensors, needed):
    """Runs `function` and prepares its gradient; see `Backend`."""
    leaves = [
        tensor.detach().requires_grad_(need)
        for tensor, need in zip(flatten(tensors), flatten(needed), strict=True)
    ]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    with torch.enable_grad():
        output = function(pack(tensors, leaves))
    outputs = flatten(output)

    def pull(gradients):
        pairs = [
            (x, gradient)
            for x, gradient in zip(outputs, flatten(gradients), strict=True)
            if x.requires_grad
        ]
        if not pairs:
            return map_tensors(torch.zeros_like, tensors)
        some, theirs = zip(*pairs, strict=True)
        found = iter(torch.autograd.grad(some, wanted, theirs, materialize_grads=True))
        each = [
            next(found) if leaf.requires_grad else torch.zeros_like(leaf)
            for leaf in leaves
        ]
        return pack(tensors, each)

    return map_tensors(lambda x: x.detach(), output), pull
