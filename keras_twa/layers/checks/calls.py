"""Checks of all arguments of a call of an attention layer."""

from keras_twa.layers.checks import mechanisms
from keras_twa.layers.checks import segments
from keras_twa.layers.checks import tensors


def call_of_attention(layer, arguments):
    """Checks that a call fits the layer, and its arguments fit one another.

    Args:
        layer: The attention layer.
        arguments: The `Arguments` of the call.
    """
    query, value, key = arguments.query, arguments.value, arguments.key
    masks = arguments.query_mask, arguments.value_mask, arguments.key_mask
    tensors.call_arguments(query, value, key, *masks)
    tensors.positions("query_positions", arguments.query_positions, query)
    tensors.positions("key_positions", arguments.key_positions, key)
    tensors.times_of_both(arguments.query_positions, arguments.key_positions)
    mechanisms.facts(layer, arguments)
    segments.packed_call(layer, arguments)
    if arguments.return_state or arguments.state is not None:
        mechanisms.streaming(layer, arguments)
    if arguments.state is not None:
        mechanisms.state(arguments.state, layer.state_spec(), query.shape[0])
