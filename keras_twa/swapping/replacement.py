"""Makes the attention layer that takes the place of another."""

import contextlib
import inspect

import keras

from keras_twa import keras_internals
from keras_twa import layers
from keras_twa.layers import Attention
from keras_twa.layers import DotProductAttention
from keras_twa.swapping.places import OF_KERAS
from keras_twa.swapping.places import path_of

MultiHead, GroupQuery = OF_KERAS
# What every new layer takes from the old one: initializers and the like, then sizes.
OF_DENSE = (
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
)
SIZES = (
    "num_heads",
    "key_dim",
    "value_dim",
    "dropout",
    "use_bias",
    "output_shape",
    "attention_axes",
    "seed",
)
OF_LAYERS = ("name", "trainable", "dtype")
# What dot products have in Keras too, with the values that change nothing.
OF_PAIRS = {"gated": False, "num_key_value_heads": None, "sliding_window": None}
# Our names of the arguments of Keras's layers.
NAMES = {"head_dim": "key_dim", "num_query_heads": "num_heads", "use_gate": "gated"}


def replacement(old, attention, options):
    """Makes a layer like an old one, but for the mechanism.

    Args:
        old: The old layer.
        attention: A name, a class or a layer, of which a copy is made.
        options: Arguments of its constructor.

    Returns:
        The new layer, not built, and sentences about what it lacks.

    Raises:
        ValueError: If there is no such attention or option.
    """
    settings, notes = _settings(old), []
    shared = {name: settings.get(name) for name in SIZES}
    shared |= {name: _given(old, name, settings) for name in OF_DENSE}
    shared |= {"name": old.name, "dtype": old.dtype_policy}
    of_pairs = {k: settings.get(k, unset) for k, unset in OF_PAIRS.items()}
    of_pairs = {k: x for k, x in of_pairs.items() if x != OF_PAIRS[k]}
    with _errors_at(old, attention, options):
        layer_class, own = _class_of(attention, shared, options), {}
    if isinstance(attention, keras.layers.Layer):
        others = {*SIZES, *OF_DENSE, *OF_LAYERS}
        own = {k: x for k, x in _settings(attention).items() if k not in others}
        own = {k: x for k, x in own.items() if x != OF_PAIRS.get(k, ...)}
    if not getattr(layer_class, "pairwise_mask", True) and shared["dropout"]:
        rate = shared.pop("dropout")
        notes.append(
            f"dropout={rate} is gone: this mechanism has no attention weights to drop."
        )
    for name in [name for name in of_pairs if not _takes(layer_class, name)]:
        notes.append(_LOST[name].format(of_pairs.pop(name)))
    positions = getattr(old, "_given_positions", None)
    if positions is not None and "positions" not in {**own, **options}:
        if _supports(layer_class, shared, positions):
            shared["positions"] = _copy_of(positions)
        else:
            notes.append(
                "The positions inside the old layer are gone: this mechanism does not "
                "support them."
            )
    if type(old) not in (layer_class, *OF_KERAS):
        if lost := _own_options(old, settings):
            notes.append(f"Options of the old layer are gone: {lost}.")
        if isinstance(old, OF_KERAS):
            notes.append(
                f"What {type(old).__name__} computes differently from "
                f"{_base(old).__name__} is gone."
            )
    arguments = {**shared, **of_pairs, **own, **options}
    with _errors_at(old, attention, options):
        return _create(layer_class, attention, arguments), tuple(notes)


_LOST = {
    "gated": "The gate of the old layer is gone.",
    "num_key_value_heads": "Each head has keys and values of its own, not one of {}.",
    "sliding_window": "The sliding_window={} of the old layer is gone.",
}


def build_like(new, old):
    """Builds a layer for inputs like those of an old one, at the same path."""
    shapes = {k: tuple(x) for k, x in keras_internals.build_shapes(old).items() if x}
    if "query_shape" not in shapes:
        kernels = {x.name: x.kernel for x in _dense_layers(old)}
        shapes = {
            f"{name}_shape": (None, None, kernels[name].shape[0])
            for name in ("query", "value", "key")
        }
    shapes.setdefault("value_shape", shapes["query_shape"])
    known = inspect.signature(type(new).build).parameters
    with contextlib.ExitStack() as scopes:
        for name in path_of(old).split("/")[:-1]:
            scopes.enter_context(keras.name_scope(name))
        new.build(**{name: shape for name, shape in shapes.items() if name in known})


def name_of(layer):
    """The name of the mechanism of a layer; the class name for a layer of Keras."""
    if isinstance(layer, Attention):
        return layers.name_of(type(layer))
    return type(layer).__name__


def _settings(layer):
    """The configuration of an attention layer, by our names."""
    found = {NAMES.get(k, k): x for k, x in layer.get_config().items()}
    if found.get("num_key_value_heads") == found["num_heads"]:
        del found["num_key_value_heads"]
    # Once it is built, Keras's layer lists all axes instead of none.
    shape = keras_internals.build_shapes(layer).get("query_shape", ())
    if found.get("attention_axes") == tuple(range(1, len(shape) - 1)):
        found["attention_axes"] = None
    return found


def _given(layer, name, settings):
    """An initializer or the like, as an object where the layer has it."""
    # Keras's layers keep some with an underscore.
    for attribute in (f"_{name}", name):
        if getattr(layer, attribute, None) is not None:
            return getattr(layer, attribute)
    return settings.get(name)


def _class_of(attention, shared, options):
    """The class of the new layer."""
    given = attention if isinstance(attention, type) else type(attention)
    if issubclass(given, (Attention, *OF_KERAS)):
        return given
    if issubclass(given, keras.layers.Layer):
        raise ValueError(
            f"`{given.__name__}` is not attention. Received: attention={attention!r}"
        )
    sizes = {name: shared[name] for name in ("num_heads", "key_dim", "name")}
    return type(layers.get(attention, **{**sizes, **options}))


def _takes(layer_class, name):
    """Whether a class has an option of dot products."""
    if issubclass(layer_class, DotProductAttention):
        return True
    of_keras = {ours: theirs for theirs, ours in NAMES.items()}
    known = inspect.signature(layer_class.__init__).parameters
    return issubclass(layer_class, OF_KERAS) and of_keras.get(name, name) in known


def _supports(layer_class, shared, positions):
    if not issubclass(layer_class, Attention):
        return False
    sizes = {name: shared[name] for name in ("num_heads", "key_dim", "name")}
    try:
        layer_class(**sizes, positions=_copy_of(positions))
    except ValueError:
        return False
    return True


def _copy_of(positions):
    if isinstance(positions, keras.layers.Layer):
        return type(positions).from_config(positions.get_config())
    return positions


def _own_options(layer, settings):
    """The options of a layer's own that are not at their defaults, as text."""
    others = {*SIZES, *OF_DENSE, *OF_LAYERS, *OF_PAIRS, "positions"}
    parameters = inspect.signature(type(layer).__init__).parameters
    found = {
        name: value
        for name, value in settings.items()
        if name not in others
        and name in parameters
        and value != parameters[name].default
    }
    return ", ".join(f"{name}={value!r}" for name, value in found.items())


def _base(layer):
    return next(kind for kind in OF_KERAS if isinstance(layer, kind))


def _create(layer_class, attention, arguments):
    if issubclass(layer_class, GroupQuery):
        return _group_query(layer_class, arguments)
    if issubclass(layer_class, MultiHead):
        return layer_class(**_as_in_keras(arguments, ("use_gate",)))
    if isinstance(attention, keras.layers.Layer):
        # Options of its own are as its configuration has them.
        return layer_class.from_config(arguments)
    return layers.get(attention, **arguments)


def _group_query(layer_class, arguments):
    arguments = dict(arguments)
    sizes = {"value_dim": (None, arguments["key_dim"])}
    sizes |= {"output_shape": (None,), "attention_axes": (None,)}
    for name, allowed in sizes.items():
        if (value := arguments.pop(name, None)) not in allowed:
            raise ValueError(
                f"{layer_class.__name__} has no `{name}`. Received: {name}={value!r}"
            )
    if arguments.get("num_key_value_heads") is None:
        arguments["num_key_value_heads"] = arguments["num_heads"]
    return layer_class(**_as_in_keras(arguments, NAMES))


def _as_in_keras(arguments, names):
    """Arguments by the names of Keras."""
    of_keras = {NAMES[theirs]: theirs for theirs in names}
    return {of_keras.get(name, name): value for name, value in arguments.items()}


@contextlib.contextmanager
def _errors_at(old, attention, options):
    """Adds where a layer was to be created to errors of its constructor."""
    try:
        yield
    except (TypeError, ValueError) as error:
        reason = str(error)
        if "Received:" not in reason:
            reason += f" Received: attention={attention!r}, options={options}"
        raise ValueError(
            f"The attention at {path_of(old)!r} cannot be exchanged: {reason}"
        ) from error


def _dense_layers(layer):
    found = keras_internals.sublayers(layer)
    return [sublayer for sublayer in found if hasattr(sublayer, "kernel")]
