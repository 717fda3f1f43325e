"""The model of probes: two blocks of any mechanism, all of about the same size."""

from typing import Any

import keras

from keras_twa import layers
from keras_twa.layers.registry import mechanism_of
from keras_twa.mechanism import listed
from keras_twa.models import parts
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.settings import Settings

# The least width of a head.
NARROWEST = 2


def build_model(probe: Probe, attention: Any, settings: Settings) -> Any:
    """Returns a functional model with an output at each step.

    It has pre-norm blocks. The widths of their feed-forward networks make up for the
    weights that a mechanism has more or fewer than dot-product attention.

    Args:
        probe: The `Probe`.
        attention: What `attention` of a block may be.
        settings: The `Settings`.
    """
    inputs, x = _embedded(probe, settings)
    attentions = layers.each_block(attention, settings.num_layers)
    longest = max(probe.test_lengths) * settings.max_length
    x = _with_positions(x, attentions, longest, settings.positions)
    times = {"positions": inputs["times"]} if probe.uses_times else {}
    for each in attentions:
        layer, width = sized(each, settings)
        block = layers.TransformerEncoder(
            intermediate_dim=width,
            num_heads=settings.num_heads,
            attention=layer,
            dropout=settings.dropout,
            activation="gelu",
            normalize_first=True,
        )
        x = block(x, use_causal_mask=probe.causal, **times)
    x = keras.layers.LayerNormalization()(x)
    if probe.decodes:
        x = _decoded(x, settings.max_length, settings)
    return keras.Model(inputs, keras.layers.Dense(probe.outputs(settings))(x))


def sized(attention: Any, settings: Settings) -> tuple[Any, int]:
    """Returns a layer, and the width of the feed-forward network that goes with it.

    Together they have about as many weights as dot-product attention with a network of
    the width `settings.intermediate_dim`. If the layer alone has so many more that a
    quarter of this width would be too much, its heads are narrower.

    Args:
        attention: The text of a mechanism, or an attention layer, which is copied.
        settings: The `Settings`.
    """
    dim, least = settings.embedding_dim, max(1, settings.intermediate_dim // 4)
    # Weights of one more unit of the network, and of dot-product attention.
    unit, conventional = 2 * dim + 1, 4 * dim * (dim + 1)
    budget = conventional + settings.intermediate_dim * unit
    key_dim = dim // settings.num_heads
    while True:
        layer = _layer(attention, settings, key_dim)
        layer.build((None, None, dim), (None, None, dim))
        width = round((budget - layer.count_params()) / unit)
        if width >= least or key_dim <= NARROWEST or not isinstance(attention, str):
            return layer, max(1, width)
        # Even, as rotary positions require.
        key_dim = max(NARROWEST, 2 * (3 * key_dim // 8))


def _layer(attention: Any, settings: Settings, key_dim: int) -> Any:
    if not isinstance(attention, str):
        return parts.copy_of(parts.serialized(attention))
    options: dict[str, Any] = {"num_heads": settings.num_heads, "key_dim": key_dim}
    if settings.positions == "rotary" and _fact(attention, "rotary"):
        options["positions"] = "rotary"
    return layers.get(attention, **options)


def _fact(attention: str, name: str) -> Any:
    """What the class of a mechanism states about itself."""
    (mechanism,) = listed(mechanism_of(attention))
    return getattr(layers.mechanisms()[mechanism.name], name)


def _with_positions(x: Any, attentions: list[Any], longest: int, kind: str) -> Any:
    """Adds positions to the embedding, if some of the mechanisms need them.

    Recurrent mechanisms get none: they read the steps in order.
    """
    pairs = [
        each
        for each in attentions
        if isinstance(each, str) and _fact(each, "pairwise_mask")
    ]
    if kind == "learned" and pairs:
        normal = keras.initializers.RandomNormal(stddev=1.0)
        return layers.LearnedPositions(longest, initializer=normal)(x)
    # Those that support neither rotated queries nor times.
    left = [x for x in pairs if not _fact(x, "rotary") and not _fact(x, "uses_times")]
    if (kind == "sinusoidal" and pairs) or (kind == "rotary" and left):
        return layers.SinusoidalPositions()(x)
    return x


def _embedded(probe: Probe, settings: Settings) -> tuple[dict[str, Any], Any]:
    """The inputs by name, and their embedding `(B, T, F)`."""
    if probe.tokens is not None:
        inputs = {"tokens": keras.Input((None,), dtype="int32", name="tokens")}
        x = keras.layers.Embedding(
            probe.tokens(settings),
            settings.embedding_dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
        )(inputs["tokens"])
    else:
        width = None if probe.features is None else probe.features(settings)
        inputs = {"values": keras.Input((None, width), name="values")}
        x = keras.layers.Dense(settings.embedding_dim)(inputs["values"])
    if probe.uses_times:
        inputs["times"] = keras.Input((None,), name="times")
        # For all mechanisms, also those that do not use times.
        x = layers.SinusoidalPositions()(x, positions=inputs["times"])
    return inputs, x


def _decoded(x: Any, length: int, settings: Settings) -> Any:
    """All steps from the vector of the last one, by a network that knows their numbers.

    Args:
        x: `(B, T, F)`.
        length: T.
        settings: The `Settings`.
    """
    repeated = keras.layers.RepeatVector(length)(x[:, -1])
    normal = keras.initializers.RandomNormal(stddev=1.0)
    x = layers.LearnedPositions(length, initializer=normal)(repeated)
    width = 4 * settings.embedding_dim
    x = keras.layers.Dense(width, activation="gelu")(x)
    return keras.layers.Dense(width, activation="gelu")(x)
