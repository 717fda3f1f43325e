"""Carries the weights of an attention layer over to the one in its place."""

import keras
import numpy as np
from keras import ops

from keras_twa.keras_internals import sublayers
from keras_twa.layers import DotProductAttention
from keras_twa.swapping.places import OF_KERAS

# The sublayers that Keras's attention and ours have in common, by name.
PROJECTIONS = ("query", "key", "value", "attention_output")
# Their heads may be shared by groups of queries.
GROUPED = ("key", "value")


def carry_over(old, new):
    """Copies the weights that both layers have.

    Args:
        old: The old layer, built.
        new: The new layer, built.

    Returns:
        Names of the new layer's weights: those that were copied, those that were copied
        to another number of heads, and those that were not.
    """
    kept, converted = [], []
    sources = _common(old, new)
    targets = _by_name(new)
    for name, target in targets.items():
        if name not in sources:
            continue
        value = np.array(ops.convert_to_numpy(sources[name]))
        fitting = _fitting(name, value, tuple(target.shape))
        if fitting is None:
            continue
        # A copy, never the same buffer: training on JAX deletes what it was given.
        target.assign(np.array(fitting))
        same = value.shape == fitting.shape
        (kept if same else converted).append(name)
    done = {*kept, *converted}
    started = [name for name in targets if name not in done]
    return tuple(kept), tuple(converted), tuple(started)


def freeze_like(new, old):
    """Lets a layer and its sublayers train only where those of an old one do."""
    by_name = {sublayer.name: sublayer for sublayer in sublayers(new)}
    for sublayer in sublayers(old):
        if not sublayer.trainable and sublayer.name in by_name:
            by_name[sublayer.name].trainable = False
    if not old.trainable:
        new.trainable = False


def _common(old, new):
    """The old layer's weights that mean the same in the new layer, by name."""
    if type(old) is type(new) or {type(old), type(new)} <= {*OF_KERAS}:
        return _by_name(old) | _of_projections(old, PROJECTIONS)
    gates = all(isinstance(x, (DotProductAttention, *OF_KERAS)) for x in (old, new))
    found = _of_projections(old, (*PROJECTIONS, *["gate"] * gates))
    positions = [getattr(layer, "positions", None) for layer in (old, new)]
    if positions[0] is not None and type(positions[0]) is type(positions[1]):
        prefix = f"{positions[0].name}/"
        found |= {k: x for k, x in _by_name(old).items() if k.startswith(prefix)}
    return found


def _of_projections(layer, names):
    """The weights of the dense sublayers, with what LoRA has learned added in."""
    found = {}
    for sublayer in sublayers(layer):
        if sublayer.name in names and hasattr(sublayer, "kernel"):
            found[f"{sublayer.name}/kernel"] = sublayer.kernel
            if getattr(sublayer, "bias", None) is not None:
                found[f"{sublayer.name}/bias"] = sublayer.bias
    return found


def _by_name(layer):
    """The weights of a layer by their paths inside it."""
    dropout = {id(v) for v in _states_of_dropout(layer)}
    return {
        variable.path.removeprefix(f"{layer.path}/"): variable
        for variable in layer.variables
        if id(variable) not in dropout
    }


def _states_of_dropout(layer):
    for sublayer in [layer, *sublayers(layer, recursive=True)]:
        for thing in vars(sublayer).values():
            if isinstance(thing, keras.random.SeedGenerator):
                yield thing.state


def _fitting(name, value, shape):
    """A value in another shape: with more or fewer heads. `None` if it cannot fit."""
    if value.shape == shape:
        return value
    heads = value.ndim - 2
    is_grouped = name.split("/")[0] in GROUPED and len(shape) == value.ndim
    others = np.delete(value.shape, heads).tolist() == np.delete(shape, heads).tolist()
    if not is_grouped or not others:
        return None
    old, new = value.shape[heads], shape[heads]
    if new % old == 0:
        return np.repeat(value, new // old, axis=heads)
    if old % new == 0:
        # The mean of each group, as in Ainslie et al., 2023.
        grouped = (*value.shape[:heads], new, old // new, value.shape[-1])
        return value.reshape(grouped).mean(axis=heads + 1)
    return None
