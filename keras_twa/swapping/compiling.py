"""Compiles a model like the one that it is a copy of."""

import keras
import numpy as np
from keras import ops

from keras_twa import keras_internals


def compile_like(new, old, copies, fresh):
    """Compiles a model like another, and continues its optimizer's state.

    Args:
        new: The new model.
        old: The old model, compiled.
        copies: The `Copies` that made the new model.
        fresh: Paths of the weights that start anew, and so does the optimizer's state
            of them.

    Returns:
        Sentences about what could not be taken over.
    """
    if type(old).compile is not keras.Model.compile:
        name = type(old).__name__
        return [f"{name} has a `compile` of its own: call it before training."]
    arguments = keras_internals.compile_arguments(old)
    arguments["optimizer"] = _like(old.optimizer)
    for name in ("metrics", "weighted_metrics"):
        arguments[name] = keras.tree.map_structure(copies.of, arguments[name])
    new.compile(**arguments)
    if old.optimizer is not None and old.optimizer.built:
        new.optimizer.build(new.trainable_variables)
        _continue(new.optimizer, old.optimizer, fresh)
    return []


def _like(optimizer):
    """An optimizer with the same settings."""
    if optimizer is None:
        return None
    return type(optimizer).from_config(optimizer.get_config())


def _continue(new, old, fresh):
    """Gives an optimizer the state that another has of weights with the same paths."""
    values, several = {}, set()
    for variable in old.variables:
        several |= {variable.path} & {*values}
        values[variable.path] = variable
    # Keras names the state of a weight after the path of the weight.
    starts = tuple(f"{path.replace('/', '_')}_" for path in fresh)
    for variable in new.variables:
        source = values.get(variable.path)
        known = source is not None and variable.path not in several
        if known and not variable.path.rpartition("/")[2].startswith(starts):
            if tuple(source.shape) == tuple(variable.shape):
                variable.assign(np.array(ops.convert_to_numpy(source)))
