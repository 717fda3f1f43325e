"""Derivatives on PyTorch; the arguments are those of the module for JAX."""

from keras import ops


def gradients(layer, tensors, options, variables, loss_of):
    """Call a layer and differentiate `loss_of` of the result."""
    import torch

    tensors = _leaves(tensors)
    loss, result = loss_of(layer(**tensors, **options))
    leaves = [*tensors.values(), *(v.value for v in variables)]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    inputs = dict(zip(tensors, gradients, strict=False))
    return result, inputs, gradients[len(tensors) :]


def hessian_vector_product(layer, tensors, options, weights, loss_of, directions):
    """Differentiate the gradients of a loss along a direction."""
    import torch

    tensors = _leaves(tensors)
    leaves = {**tensors, **{name: v.value for name, v in weights.items()}}
    loss = loss_of(layer(**tensors, **options))
    gradients = torch.autograd.grad(
        loss, list(leaves.values()), create_graph=True, allow_unused=True
    )
    slope = sum(
        (x * ops.convert_to_tensor(directions[name])).sum()
        for name, x in zip(leaves, gradients, strict=True)
        if x is not None
    )
    found = torch.autograd.grad(slope, list(leaves.values()), allow_unused=True)
    return dict(zip(leaves, found, strict=True))


def _leaves(tensors):
    import torch

    device = ops.convert_to_tensor(0.0).device
    return {
        name: torch.tensor(x, device=device, requires_grad=True)
        for name, x in tensors.items()
    }
