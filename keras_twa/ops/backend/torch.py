"""PyTorch: scaled dot-product attention in one kernel, and loops in Python."""

import torch


def device_name():
    """The accelerator, or "CPU"."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def device_peak_memory():
    """The most bytes an accelerator has held in this process, `None` on a CPU."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def map_blocks(function, tensors, output_shape):
    """Applies `function` to each slice along the first axis and stacks the results."""
    del output_shape
    slices = zip(*(torch.unbind(tensor) for tensor in tensors), strict=True)
    return torch.stack([function(list(block)) for block in slices])


def fused_attention(query, key, value, mask, causal, scale):
    """Softmax attention in PyTorch's own kernel, in memory linear in length.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`.
        value: `(B, S, H, D)`: the kernel wants the width of the keys.
        mask: Boolean, broadcastable to `(B, H, T, S)`, or `None`.
        causal: Hide the future; needs T = S and `mask=None`.
        scale: Factor on the logits.

    Returns:
        `(B, T, H, D)`.
    """
    output = torch.nn.functional.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        attn_mask=mask,
        is_causal=causal,
        scale=scale,
    )
    return output.transpose(1, 2)
