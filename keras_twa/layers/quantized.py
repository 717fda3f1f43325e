"""How a layer made of layers is saved after some of them were quantized."""

import keras


def dtype_config(layer):
    """The entry `dtype` of a config, with the policies of quantized sublayers.

    Sublayers that a layer makes itself have no config of their own. Without their
    policies they would come back in floating point, and not find their weights.

    Args:
        layer: A built layer, or one that is not built yet.

    Returns:
        A dictionary for `get_config`; empty if nothing is quantized.
    """
    policies = {
        sublayer.path: _policy(sublayer)
        for sublayer in layer._flatten_layers(include_self=False)
        if sublayer.quantization_mode is not None
    }
    if not policies:
        return {}
    default = _policy(layer).name
    policy = keras.dtype_policies.DTypePolicyMap(default, policies)
    return {"dtype": keras.dtype_policies.serialize(policy)}


def in_float32(policy):
    """The dtype policy of a sublayer that computes in float32, whatever the others do.

    Args:
        policy: That of the layer around it, which may say what is quantized.
    """
    if isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        return keras.dtype_policies.DTypePolicyMap("float32", dict(policy))
    return "float32"


def _policy(layer):
    policy = layer.dtype_policy
    if isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        return policy[layer.path]
    return policy
