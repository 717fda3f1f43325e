"""How a model calls its attention: found out on symbolic tensors."""

import functools

import keras

from keras_twa import keras_internals


class Watch:
    """Notes the calls of layers while it is entered.

    Args:
        layers: New layers, which nothing else calls meanwhile.
    """

    def __init__(self, layers):
        self._layers = layers
        # Indices of the layers in the order of their first calls.
        self.order = []
        # Indices of layers with a padding mask in a call.
        self.masked = set()
        # Indices of layers with a mask of pairs that is the same for all queries.
        self.padded_pairs = set()
        # The index of a layer that cannot take a call, and its error.
        self.refused = None

    def __enter__(self):
        for index, layer in enumerate(self._layers):
            for name in ("call", "compute_output_spec"):
                method = getattr(layer, name)
                vars(layer)[name] = functools.partial(self._called, index, method)
        return self

    def __exit__(self, *error):
        for layer in self._layers:
            for name in ("call", "compute_output_spec"):
                del vars(layer)[name]

    def _called(self, index, method, *args, **kwargs):
        if index not in self.order:
            self.order.append(index)
        given = {**dict(enumerate(args)), **kwargs}
        masks = [x for name, x in kwargs.items() if str(name).endswith("mask")]
        masks += [
            keras_internals.get_keras_mask(x)
            for name, x in given.items()
            if name in (0, "query") and x is not None
        ]
        if any(mask is not None for mask in masks):
            self.masked.add(index)
        pairs = kwargs.get("attention_mask")
        if pairs is not None and all(size == 1 for size in pairs.shape[1:-1]):
            self.padded_pairs.add(index)
        try:
            return method(*args, **kwargs)
        except ValueError as error:
            if self.refused is None:
                self.refused = index, error
            raise


def trace(model):
    """Calls a model on symbolic tensors, which computes nothing.

    Args:
        model: The model.

    Returns:
        Whether that was possible. It needs the shapes of the inputs, and for a model
        whose inputs are not all in one argument, a `build` with all their shapes.
    """
    for args, kwargs in _inputs(model):
        try:
            _Call(model).compute_output_spec(*args, **kwargs)
        except Exception:
            continue
        return True
    return False


class _Call(keras.Operation):
    """A call of a model, as an operation of which Keras computes the output's shape.

    Args:
        model: The model.
    """

    def __init__(self, model):
        super().__init__(name="call")
        self.model = model

    def call(self, *args, **kwargs):
        return self.model(*args, **kwargs)


def _inputs(model):
    """What a model may be called with: positional and keyword arguments."""
    if isinstance(model, keras.Function):
        yield (keras.tree.map_structure(_like, model.input),), {}
        return
    if isinstance(model, keras.Sequential) and model.built:
        try:
            yield (_like(model.inputs[0]),), {}
            return
        except AttributeError:
            # It has several inputs.
            pass
    shapes = keras_internals.build_shapes(model)
    for dtype in ("float32", "int32"):
        tensors = {
            name.removesuffix("_shape"): _tensors(shape, dtype)
            for name, shape in shapes.items()
        }
        if len(tensors) == 1:
            yield tuple(tensors.values()), {}
        elif tensors:
            yield (), tensors


def _like(tensor):
    return keras.KerasTensor(tensor.shape, dtype=tensor.dtype)


def _tensors(shape, dtype):
    """Symbolic tensors of a shape, or of shapes in a structure."""
    if isinstance(shape, dict):
        return {name: _tensors(x, dtype) for name, x in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return keras.KerasTensor(tuple(shape), dtype=dtype)
    return [_tensors(x, dtype) for x in shape]
