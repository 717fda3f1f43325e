"""Checks of a whole call of an attention layer."""

from keras_twa.layers.checks import mechanisms
from keras_twa.layers.checks import tensors


def call_of_attention(
    layer, inputs, masks, positions, scores, causal, state, return_state
):
    """A call fits the layer, and its arguments one another.

    Args:
        layer: The attention layer.
        inputs: Query, value and key.
        masks: The masks of query, value and key, and the attention mask.
        positions: The times of queries and keys.
        scores: Whether the weights are asked for.
        causal: Whether the call is causal.
        state: The state that it is given, or `None`.
        return_state: Whether it is to return one.
    """
    query, value, key = inputs
    itself = value is query and key is query
    tensors.call_arguments(query, value, key, *masks[:3])
    tensors.positions("query_positions", positions[0], query)
    tensors.positions("key_positions", positions[1], key)
    tensors.times_of_both(*positions)
    mechanisms.facts(layer, itself, masks[-1], scores, causal)
    if return_state or state is not None:
        mechanisms.streaming(layer, itself, causal, masks[-1])
    if state is not None:
        mechanisms.state(state, layer.state_spec(), query.shape[0])
