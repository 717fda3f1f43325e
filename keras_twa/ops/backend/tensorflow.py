"""TensorFlow: loops that compile to one body, and no fused attention."""

import tensorflow as tf

fused_attention = None


def device_name():
    """The accelerator, or "CPU"."""
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        return details.get("device_name", "GPU")
    return "CPU"


def device_peak_memory():
    """The most bytes an accelerator has held in this process, `None` on a CPU."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def map_blocks(function, tensors, output_shape):
    """Applies `function` to each slice along the first axis and stacks the results.

    Args:
        function: From a list of slices to one float32 tensor.
        tensors: List of tensors with equal first dimensions.
        output_shape: Static shape of one result, `None` where unknown.
    """
    return tf.map_fn(
        function,
        tensors,
        parallel_iterations=1,
        fn_output_signature=tf.TensorSpec(output_shape, "float32"),
    )
