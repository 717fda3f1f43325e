"""JAX: loops that compile to one body, and no fused attention on the CPU."""

import jax

fused_attention = None


def map_blocks(function, tensors, output_shape):
    """Applies `function` to each slice along the first axis and stacks the results."""
    del output_shape
    return jax.lax.map(function, tensors)
