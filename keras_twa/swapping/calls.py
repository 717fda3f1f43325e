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


def trace(model, watch):
    """Calls a model on symbolic tensors, which computes nothing.

    Args:
        model: The model.
        watch: The `Watch` of its layers.

    Returns:
        Whether that was possible. It needs the shapes of the inputs, and for a model
        whose inputs are not all in one argument, a `build` with all their shapes.
    """
    for args, kwargs in _inputs(model):
        try:
            _Call(model).compute_output_spec(*args, **kwargs)
        except Exception:  # a model may raise anything for shapes that are guesses
            continue
        # A layer may have refused a shape that was only a guess.
        watch.refused = None
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
    # Sizes that are not known. Tables of positions, for example, are not longer than
    # their number of rows, and strides may not fit into less than some steps.
    for size in (8, 64):
        for dtype in (None, "int32"):
            given = _signature(model, size, dtype)
            if given is not None:
                yield given


def _signature(model, size, dtype):
    if isinstance(model, keras.Sequential) and hasattr(model, "inputs"):
        tensors = model.inputs[0]
    elif isinstance(model, keras.Function):
        tensors = model.input
    else:
        shapes = keras_internals.build_shapes(model)
        tensors = {
            name.removesuffix("_shape"): _tensors(shape, size, dtype or "float32")
            for name, shape in shapes.items()
        }
        if len(tensors) == 1:
            return tuple(tensors.values()), {}
        return ((), tensors) if tensors else None
    # The dtype is known, too.
    if dtype is not None:
        return None
    make = functools.partial(_like, size=size)
    return (keras.tree.map_structure(make, tensors),), {}


def _like(tensor, size):
    return keras.KerasTensor(_known(tensor.shape, size), dtype=tensor.dtype)


def _tensors(shape, size, dtype):
    """Symbolic tensors of a shape, or of shapes in a structure."""
    if isinstance(shape, dict):
        return {name: _tensors(x, size, dtype) for name, x in shape.items()}
    if all(one is None or isinstance(one, int) for one in shape):
        return keras.KerasTensor(_known(shape, size), dtype=dtype)
    return [_tensors(x, size, dtype) for x in shape]


def _known(shape, size):
    """A shape without unknown sizes; the batch has two rows."""
    batch, *others = shape
    return (batch or 2, *(one or size for one in others))
