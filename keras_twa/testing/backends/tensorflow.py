"""Derivatives on TensorFlow; the arguments are those of the module for JAX."""


def gradients(layer, tensors, options, variables, loss_of):
    """Call a layer and differentiate `loss_of` of the result."""
    import tensorflow as tf

    tensors = {k: tf.convert_to_tensor(v) for k, v in tensors.items()}
    with tf.GradientTape() as tape:
        tape.watch(list(tensors.values()))
        loss, result = loss_of(layer(**tensors, **options))
    weights = [v.value for v in variables]
    inputs, weights = tape.gradient(loss, (tensors, weights))
    return result, inputs, weights


def hessian_vector_product(layer, tensors, options, weights, loss_of, directions):
    """Differentiate the gradients of a loss along a direction."""
    import tensorflow as tf

    tensors = {name: tf.convert_to_tensor(x) for name, x in tensors.items()}
    leaves = {**tensors, **{name: v.value for name, v in weights.items()}}
    with tf.GradientTape() as outer:
        outer.watch(list(leaves.values()))
        with tf.GradientTape() as inner:
            inner.watch(list(leaves.values()))
            loss = loss_of(layer(**tensors, **options))
        gradients = inner.gradient(loss, leaves)
        slope = sum(
            tf.reduce_sum(tf.convert_to_tensor(x) * directions[name])
            for name, x in gradients.items()
            if x is not None
        )
    return outer.gradient(slope, leaves)
