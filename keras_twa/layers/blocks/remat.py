"""Gradient checkpointing: recomputes activations in the backward pass."""

import keras
from keras import ops

from keras_twa.keras_internals import AutocastScope


def rematerialised(layer, function, tensors):
    """Calls a function, and keeps only its arguments for the backward pass.

    The function runs again there, from the same weights and seeds, so it must have no
    side effects: losses that it adds, and new values of the layer's variables, are
    returned as results.

    Args:
        layer: The layer whose variables the function uses.
        function: A function from the tensors to a tuple of tensors. Other tensors that
            it uses get no gradient.
        tensors: Tensors of floats, or `None`.

    Returns:
        The result of the function.
    """
    trained, kept = layer.trainable_variables, layer.non_trainable_variables
    # The values as they are stored, without autocasting: they are cast where they are
    # used. Keras has no public name for this.
    with AutocastScope(None):
        weights = [v.value for v in trained]
        # Otherwise, TensorFlow would read them only when they are used, after they
        # changed.
        states = [ops.stop_gradient(v.value) for v in kept]
    places = [place for place, x in enumerate(tensors) if x is not None]

    def run(*arguments):
        given = [None] * len(tensors)
        for place, x in zip(places, arguments, strict=False):
            given[place] = x
        values = [*zip(trained, arguments[len(places) :], strict=True)]
        values += zip(kept, states, strict=True)
        scope = keras.StatelessScope(values, collect_losses=True)
        with AutocastScope(None), scope:
            results = function(*given)
        changed = [scope.get_current_value(variable) for variable in kept]
        return tuple(results), scope.losses, changed

    run = keras.remat(run)
    results, losses, changed = run(*(tensors[place] for place in places), *weights)
    for loss in losses:
        layer.add_loss(loss)
    for place, (variable, value) in enumerate(zip(kept, changed, strict=True)):
        if value is not states[place]:
            # PyTorch assigns in place, but the second run must start from the old
            # value.
            states[place] = ops.copy(states[place])
            with AutocastScope(None):
                variable.assign(value)
    return results
