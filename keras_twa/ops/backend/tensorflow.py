"""TensorFlow: loops that compile to one body, and no fused attention."""

import tensorflow as tf

fused_attention = None


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
