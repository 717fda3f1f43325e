"""Derivatives on JAX."""


def gradients(layer, tensors, options, variables, loss_of):
    """Call a layer and differentiate `loss_of` of the result.

    Args:
        layer: The layer.
        tensors: The arguments to differentiate by, as arrays by name.
        options: The other arguments of the call.
        variables: The weights to differentiate by.
        loss_of: Function from the layer's result to a scalar and the result.

    Returns:
        The result, a dictionary of gradients with respect to `tensors`, and a list of
        those with respect to `variables`. A gradient may be `None` if there is none.
    """
    import jax

    places = {id(v): i for i, v in enumerate(layer.trainable_variables)}
    states = [v.value for v in layer.non_trainable_variables]

    def loss(weights, tensors):
        result, _ = layer.stateless_call(weights, states, **tensors, **options)
        return loss_of(result)

    # Jitted, as in `fit`: faster than running one operation after another.
    graded = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    weights = [v.value for v in layer.trainable_variables]
    (_, result), (weights, inputs) = graded(weights, tensors)
    return result, inputs, [weights[places[id(v)]] for v in variables]


def hessian_vector_product(layer, tensors, options, weights, loss_of, directions):
    """Differentiate the gradients of a loss along a direction.

    Args:
        layer: The layer.
        tensors: The arguments to differentiate by, as arrays by name.
        options: The other arguments of the call.
        weights: The weights to differentiate by, as variables by name.
        loss_of: Function from the layer's output to a scalar.
        directions: An array for each tensor and weight, by name.

    Returns:
        A dictionary of tensors by name, or `None` where there is no derivative.
    """
    import jax

    states = [v.value for v in layer.non_trainable_variables]
    names = {id(v): name for name, v in weights.items()}

    def loss(leaves):
        values = [leaves[names[id(v)]] for v in layer.trainable_variables]
        inputs = {name: leaves[name] for name in tensors}
        output, _ = layer.stateless_call(values, states, **inputs, **options)
        return loss_of(output)

    def slope(leaves):
        gradients = jax.grad(loss)(leaves)
        return sum((gradients[name] * directions[name]).sum() for name in leaves)

    leaves = {**tensors, **{name: v.value for name, v in weights.items()}}
    return jax.jit(jax.grad(slope))(leaves)
