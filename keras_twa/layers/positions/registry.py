"""Positions inside attention by name."""

import keras

from keras_twa.layers.positions.alibi import ALiBiPositions
from keras_twa.layers.positions.bias import PositionBias
from keras_twa.layers.positions.rotary import RotaryPositions
from keras_twa.layers.positions.shaw import ShawPositions
from keras_twa.layers.positions.t5 import T5Positions
from keras_twa.suggestions import close_names

INSIDE_ATTENTION = {
    "rotary": RotaryPositions,
    "alibi": ALiBiPositions,
    "t5": T5Positions,
    "shaw": ShawPositions,
}


def get(identifier, **kwargs):
    """Resolves positions that act inside attention.

    Args:
        identifier: "rotary", "alibi", "t5" or "shaw"; a layer of that kind, which is
            returned unchanged; or its serialized form.
        **kwargs: Constructor arguments, for a name.

    Returns:
        A Keras layer.

    Raises:
        ValueError: If the name is unknown (a similar name is suggested), or the layer
            is of another kind.

    Example:

    >>> from keras_twa.layers import positions
    >>> positions.get("t5").num_buckets
    32
    """
    if isinstance(identifier, dict):
        # If it were built now, the paths of its weights would not be below the
        # attention layer.
        config = {k: x for k, x in identifier.items() if k != "build_config"}
        identifier = keras.saving.deserialize_keras_object(config)
    if isinstance(identifier, RotaryPositions | PositionBias):
        return identifier
    if not isinstance(identifier, str) or identifier not in INSIDE_ATTENTION:
        close = close_names(str(identifier), INSIDE_ATTENTION)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"Unknown positions inside attention.{hint} The choices are "
            f"{list(INSIDE_ATTENTION)} and layers of these; others are added to the "
            f"input of a model. Received: positions={identifier!r}"
        )
    return INSIDE_ATTENTION[identifier](**kwargs)
