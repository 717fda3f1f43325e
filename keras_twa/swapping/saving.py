"""Saved files of models that create their attention in the code of a class.

The configuration of such a layer cannot name other attention than the code creates. So
after an exchange, the layer gets a subclass of its class, whose configuration holds the
new attention too. When a file is loaded, the code creates the layer as ever, and then
its attention is exchanged again.
"""

import functools

import keras

from keras_twa import keras_internals
from keras_twa.keras_internals import sublayers
from keras_twa.layers import Attention
from keras_twa.layers.blocks.block import TransformerBlock
from keras_twa.layers.quantized import described
from keras_twa.swapping.adapter import AttentionAdapter
from keras_twa.swapping.configs import MODELS
from keras_twa.swapping.places import OF_KERAS
from keras_twa.swapping.places import found_in
from keras_twa.swapping.replacement import build_like

PACKAGE, NAME = "keras_twa", "Exchanged"
PLACES = (AttentionAdapter, Attention, *OF_KERAS)
GRAPHS = (keras.Function, keras.Sequential)


def remember(model, layers):
    """Lets the configuration of a model hold its new attention layers.

    Args:
        model: The model.
        layers: The new layers.

    Returns:
        Names of the layers for which that is not possible: attention in them is part of
        the graph of a functional model.
    """
    ids, failed = {id(layer) for layer in layers}, []
    waiting = [model]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, PLACES):
            continue
        if _names_layers(holder):
            waiting += sublayers(holder)
            continue
        places = found_in(holder, PLACES)
        new = {i for i, layer in enumerate(places) if id(layer) in ids}
        if not new:
            continue
        inside = [holder, *sublayers(holder, recursive=True)]
        if any(_is_graph_of(layer, ids) for layer in inside):
            failed.append(holder.name)
            continue
        # A second exchange adds to the first.
        vars(holder)["_exchanged"] = sorted({*vars(holder).get("_exchanged", ()), *new})
        if not hasattr(type(holder), "_exchanged_class"):
            holder.__class__ = _subclass(type(holder))
    return failed


@keras.saving.register_keras_serializable(package=PACKAGE)
class Exchanged:
    """Creates a layer from its class, and then exchanges its attention.

    Args:
        layer: The layer, as its class creates it.
        attention: Pairs of the number of an attention layer in it, and the one that
            takes its place.
        count: Number of attention layers in it.
    """

    def __init__(self, layer, attention, count):
        self.layer = layer
        self.attention = attention
        self.count = count

    @classmethod
    def from_config(cls, config):
        """Creates the layer.

        Args:
            config: The configuration of the layer's subclass.
        """
        layer = keras.saving.deserialize_keras_object(config["layer"])
        attention = [(index, described(given)) for index, given in config["attention"]]
        cls(layer, attention, config["count"]).exchange_when_possible()
        return layer

    def get_config(self):
        return {
            "layer": self.layer,
            "attention": self.attention,
            "count": self.count,
        }

    def exchange_when_possible(self):
        """Exchanges the attention now, or once the layer has created it."""
        layer = self.layer
        vars(layer)["_exchanged"] = [index for index, _ in self.attention]
        layer.__class__ = _subclass(type(layer))
        if self._exchange():
            return
        # Keras's `build` of a layer is an attribute of it.
        build, build_from_config = layer.build, layer.build_from_config

        def then_exchange(method):
            @functools.wraps(method)
            def create(*args, **kwargs):
                method(*args, **kwargs)
                if self._exchange():
                    vars(layer)["build"] = build
                    vars(layer).pop("build_from_config", None)

            return create

        vars(layer)["build"] = then_exchange(build)
        vars(layer)["build_from_config"] = then_exchange(build_from_config)

    def _exchange(self):
        """Exchanges the attention, if it is there, and says whether it was."""
        places = found_in(self.layer, PLACES)
        if len(places) != self.count:
            return False
        pairs = [(places[index], new) for index, new in self.attention]
        for old, new in pairs:
            if old.built and not new.built:
                build_like(new, old)
        replace_inside(self.layer, pairs)
        return True


def replace_inside(holder, pairs):
    """Puts layers in the place of others, inside a layer.

    Args:
        holder: The layer.
        pairs: Pairs of an old layer and a new one.
    """
    new = {id(old): layer for old, layer in pairs}
    for layer in [holder, *sublayers(holder, recursive=True)]:
        attributes = vars(layer)
        for name, value in attributes.items():
            attributes[name] = _replaced(value, new)
        keras_internals.track_instead(keras_internals.tracker_of(layer), new)
        # On PyTorch, Keras lists the parameters again.
        attributes.get("_modules", {}).pop("_torch_params", None)


def _replaced(value, new):
    if id(value) in new:
        return new[id(value)]
    if isinstance(value, tuple):
        items = [_replaced(item, new) for item in value]
        if all(one is other for one, other in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    items = None
    if isinstance(value, list):
        items = enumerate(value)
    elif isinstance(value, dict):
        items = value.items()
    for key, item in list(items or ()):
        made = _replaced(item, new)
        # The others stay: some are wrapped by TensorFlow, which keeps items elsewhere.
        if made is not item:
            kind = list if isinstance(value, list) else dict
            # Without telling Keras's tracker, which is told of all at once.
            kind.__setitem__(value, key, made)
    return value


@functools.cache
def _subclass(kind):
    """The subclass of a class of layers whose configuration holds the attention."""

    def get_config(self):
        own = type(self)
        self.__class__ = kind
        try:
            layer = keras.saving.serialize_keras_object(self)
        finally:
            self.__class__ = own
        # Keras builds and compiles the layer once it has its attention.
        later = ("build_config", "compile_config")
        layer = {name: x for name, x in layer.items() if name not in later}
        places = found_in(self, PLACES)
        attention = [
            [index, keras.saving.serialize_keras_object(places[index])]
            for index in self._exchanged
        ]
        return {"layer": layer, "attention": attention, "count": len(places)}

    @classmethod
    def from_config(cls, config):
        known = {keras.saving.get_registered_name(kind): kind}
        with keras.saving.custom_object_scope(known):
            return Exchanged.from_config(config)

    made = type(
        kind.__name__,
        (kind,),
        {
            "__doc__": kind.__doc__,
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "_exchanged_class": kind,
            "get_config": get_config,
            "from_config": from_config,
        },
    )
    keras.saving.register_keras_serializable(PACKAGE, NAME)(made)
    # Files name the subclass like this, and this creates it.
    keras.saving.get_custom_objects()[f"{PACKAGE}>{NAME}"] = Exchanged
    return made


def _names_layers(layer):
    """Whether the configuration of a layer names the layers inside."""
    if isinstance(layer, (keras.layers.Wrapper, TransformerBlock, *MODELS)):
        return True
    # Subclasses of functional models may create their graph themselves.
    described = next(x for x in type(layer).__mro__ if "get_config" in vars(x))
    return isinstance(layer, GRAPHS) and described.__module__.startswith("keras.")


def _is_graph_of(layer, ids):
    """Whether a layer is a functional model, and its graph has one of some layers."""
    return isinstance(layer, GRAPHS) and any(id(x) in ids for x in sublayers(layer))
