"""Checks of the segments of packed rows."""

import keras

from keras_twa.layers.checks.tensors import padding
from keras_twa.layers.checks.tensors import same_size


def packed_call(layer, arguments):
    """Checks the segments of a call of an attention layer, if it has any.

    Args:
        layer: The attention layer.
        arguments: The `Arguments` of the call.
    """
    ids, key_ids = arguments.segment_ids, arguments.key_segment_ids
    if ids is None and key_ids is None:
        return
    packs(layer)
    if ids is None or key_ids is None:
        given, missing = "segment_ids", "key_segment_ids"
        if ids is None:
            given, missing = missing, given
        raise ValueError(
            f"Both queries and keys need segments: pass `{missing}` too. "
            f"Received: {given}, {missing}=None"
        )
    segment_ids("segment_ids", ids, arguments.query)
    segment_ids("key_segment_ids", key_ids, arguments.key)
    if arguments.is_self_attention and key_ids is not ids:
        raise ValueError(
            "In self-attention, keys have the segments of the queries: leave out "
            "`key_segment_ids`. Received: key_segment_ids of shape "
            f"{tuple(key_ids.shape)}"
        )
    lengths = arguments.query.shape[1], arguments.key.shape[1]
    if arguments.is_causal and not same_size(*lengths):
        raise ValueError(
            "In packed rows, causal attention needs as many queries as keys. "
            f"Received: {lengths[0]} queries, {lengths[1]} keys"
        )
    for what, refused in (
        ("a state", arguments.state is not None or arguments.return_state),
        ("`projected`", arguments.projected is not None),
    ):
        if refused:
            no_state_of_packed_rows(ids, what)


def packs(layer):
    """Checks that an attention layer, of any package, supports packed rows."""
    if not getattr(layer, "packs", False):
        name = type(layer).__name__
        raise ValueError(
            f"{name} does not support packed rows. Received: segment_ids for {name}"
        )


def no_state_of_packed_rows(ids, what):
    """Raises for a state, or projected keys, of packed rows."""
    raise ValueError(
        f"Packed rows do not support {what}: a row holds several sequences. "
        f"Received: segment_ids of shape {tuple(ids.shape)} and {what}"
    )


def segment_ids(name, ids, x):
    """Checks that segments are integers of the shape `(batch, length)` of an input."""
    padding(name, ids, x)
    dtype = keras.backend.standardize_dtype(ids.dtype)
    if "int" not in dtype:
        raise ValueError(f"`{name}` must be integers. Received: {name} of {dtype}")
