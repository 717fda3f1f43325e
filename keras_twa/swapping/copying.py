"""Copies of models: new layers and new variables with the same values."""

import collections
import copy
import functools
import types

import keras

from keras_twa import keras_internals

_SIMPLE = (str, int, float, type(None), keras.DTypePolicy)


class Copies:
    """Copies layers, each once, and puts others in the place of some.

    What is shared stays shared: a layer in two places, or a variable of two layers. A
    copy has the class of its original, whose configuration is not asked for. Only
    layers, variables and what holds them are copied; anything else, such as an
    initializer, a function or an array, is common to both.

    Args:
        replacements: Pairs of a layer and the layer that takes its place.
    """

    def __init__(self, replacements):
        # The originals are kept, so that no other object gets the same id.
        self._originals = [old for old, _ in replacements]
        self._copies = {id(old): new for old, new in replacements}

    def of(self, thing):
        """The copy of a layer or of any other object."""
        if id(thing) in self._copies:
            return self._copies[id(thing)]
        if isinstance(thing, keras.layers.InputLayer):
            return self._add(thing, type(thing).from_config(thing.get_config()))
        if isinstance(thing, keras.Model) and isinstance(thing, keras.Function):
            return self._functional(thing)
        if isinstance(thing, keras.Sequential):
            return self._sequential(thing)
        if isinstance(thing, keras.layers.Layer):
            return self._object(thing, keras.layers.Layer.__new__)
        if isinstance(thing, keras.Operation):
            return self._object(thing, keras.Operation.__new__)
        if isinstance(thing, keras.Variable):
            return self._variable(thing)
        if isinstance(thing, _CONTAINERS):
            return self._container(thing)
        if isinstance(thing, types.MethodType):
            return types.MethodType(thing.__func__, self.of(thing.__self__))
        if isinstance(thing, types.FunctionType) and any(map(_is_layer, _cells(thing))):
            return self._function(thing)
        if hasattr(type(thing), "register_parameter"):
            # A module of PyTorch inside a layer.
            self._originals.append(thing)
            return copy.deepcopy(thing, self._copies)
        if isinstance(thing, _PARTS) or _holds_layers(thing):
            return self._object(thing, object.__new__)
        return thing

    def _add(self, original, made):
        self._originals.append(original)
        self._copies[id(original)] = made
        return made

    def _object(self, thing, create):
        """A copy by attributes."""
        made = self._add(thing, create(type(thing)))
        bound = vars(made).copy()
        for name, value in keras_internals.attributes(thing).items():
            # Keras wraps some methods of each layer: its copy has them already.
            is_bound = isinstance(bound.get(name), types.FunctionType)
            if not is_bound and not self._is_derived(thing, name, value):
                vars(made)[name] = self.of(value)
        if isinstance(thing, keras_internals.Tracker):
            keras_internals.track_instead(made, self._copies)
        return made

    def _is_derived(self, thing, name, value):
        """Whether an attribute belongs to one object only, and comes back by itself."""
        kept = getattr(type(thing), name, None)
        cached = isinstance(kept, functools.cached_property)
        return cached or isinstance(value, keras.callbacks.Callback)

    def _variable(self, variable):
        made = self._add(variable, object.__new__(type(variable)))
        for name, value in vars(variable).items():
            vars(made)[name] = copy.copy(value)
        # Another buffer: training on JAX deletes the one that it was given.
        keras_internals.copy_value(made, variable, self._copies)
        return made

    def _container(self, thing):
        if isinstance(thing, tuple):
            items = [self.of(item) for item in thing]
            named = hasattr(thing, "_fields")
            return type(thing)(*items) if named else type(thing)(items)
        made = self._add(thing, type(thing).__new__(type(thing)))
        if isinstance(thing, dict):
            kind = collections.OrderedDict if hasattr(thing, "move_to_end") else dict
            for key, value in thing.items():
                kind.__setitem__(made, self.of(key), self.of(value))
        elif isinstance(thing, set):
            for item in thing:
                set.add(made, self.of(item))
        else:
            list.extend(made, map(self.of, thing))
        for name, value in getattr(thing, "__dict__", {}).items():
            vars(made)[name] = self.of(value)
        return made

    def _function(self, function):
        """The same function of the copies of the layers that it uses."""
        cells = tuple(types.CellType(self.of(held)) for held in _cells(function))
        made = types.FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            function.__defaults__,
            cells,
        )
        return self._add(function, functools.update_wrapper(made, function))

    def _functional(self, model):
        """A copy of a functional model: its layers are called again, symbolically."""
        inputs = keras.tree.map_structure(
            lambda tensor: self.of(keras_internals.input_layer_of(tensor)).output,
            model.input,
        )
        plain = keras.Model(model.input, model.output)
        clone = keras.models.clone_model(plain, inputs, clone_function=self.of)
        made = self._add(model, keras.layers.Layer.__new__(type(model)))
        # The constructor of a subclass might take something else.
        type(plain).__init__(made, inputs, clone.output, name=model.name)
        return self._with_attributes(made, model)

    def _sequential(self, model):
        made = self._add(model, keras.layers.Layer.__new__(type(model)))
        layers = keras_internals.sublayers(model)
        keras.Sequential.__init__(made, map(self.of, layers), name=model.name)
        return self._with_attributes(made, model)

    def _with_attributes(self, made, model):
        """Adds the attributes that the class of a model, or its user, gave it."""
        tracker = keras_internals.tracker_of(model)
        self._copies[id(tracker)] = keras_internals.tracker_of(made)
        found = keras_internals.attributes(model)
        # On PyTorch, sublayers are among the modules.
        found |= found.pop("_modules", {})
        own = {*vars(made), *vars(made).get("_modules", {})}
        for name, value in found.items():
            if self._is_derived(model, name, value):
                continue
            if name not in own:
                setattr(made, name, self.of(value))
            elif isinstance(value, _SIMPLE):
                vars(made)[name] = value
        return made


_CONTAINERS = (list, tuple, dict, set)
# What else has variables.
_PARTS = (
    keras.metrics.Metric,
    keras.random.SeedGenerator,
    keras_internals.Tracker,
)


def _holds_layers(thing):
    """Whether an object that Keras does not know has layers as attributes."""
    attributes = getattr(thing, "__dict__", None)
    if not isinstance(attributes, dict) or isinstance(thing, _NOT_COPIED):
        return False
    return any(
        any(map(_is_layer, value))
        if isinstance(value, list | tuple)
        else _is_layer(value)
        for value in attributes.values()
    )


def _cells(function):
    """What a function uses of the functions around it."""
    cells = function.__closure__ or ()
    try:
        return [cell.cell_contents for cell in cells]
    except ValueError:
        # One of them is not set yet.
        return []


def _is_layer(thing):
    return isinstance(thing, keras.layers.Layer)


_NOT_COPIED = (type, types.FunctionType, types.ModuleType, keras.KerasTensor)
