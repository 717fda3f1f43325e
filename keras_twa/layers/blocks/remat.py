"""Activations that are not kept for the backward pass, but computed again in it."""

import keras
from keras import ops

from keras_twa.keras_internals import AutocastScope


def rematerialised(layer, function, tensors):
    """Calls a function of which only the arguments are kept for the backward pass.

    The function runs again there, from the same weights and seeds, so it must not
    change anything itself: what it adds to the losses and to variables of the layer
    comes out of it as a result.

    Args:
        layer: The layer whose variables the function uses.
        function: A function from the tensors to a tuple of tensors. All else that it
            uses has no gradient.
        tensors: Tensors of floats, or `None`.

    Returns:
        What the function returns.
    """
    trained, kept = layer.trainable_variables, layer.non_trainable_variables
    # The numbers as they are stored: whoever uses one casts it. Keras has no public
    # name for this.
    with AutocastScope(None):
        weights = [v.value for v in trained]
        # Else TensorFlow would read them when they are used, and changed already.
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
            # PyTorch writes into the variable, and the second run begins as the first.
            states[place] = ops.copy(states[place])
            with AutocastScope(None):
                variable.assign(value)
    return results
