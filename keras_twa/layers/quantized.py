"""Saving of layers with quantized sublayers."""

import re

import keras
from keras.dtype_policies import DTypePolicyMap


def dtype_config(layer):
    """The entry `dtype` of a config, with the policies of quantized sublayers.

    Sublayers that a layer creates itself have no config of their own. Without their
    policies, they would be restored in floating point, and their weights would not fit.

    The policies are keyed by regular expressions for the paths below this layer: the
    layers above it may have other names when a file is loaded, or not exist yet.

    Args:
        layer: The layer, built or not.

    Returns:
        A dictionary for `get_config`; empty if nothing is quantized.
    """
    policies = {
        _pattern(layer, sublayer): _policy(sublayer)
        for sublayer in layer._flatten_layers(include_self=False)
        if sublayer.quantization_mode is not None
    }
    if not policies:
        return {}
    default = _policy(layer).name
    policy = DTypePolicyMap(default, policies)
    return {"dtype": keras.dtype_policies.serialize(policy)}


def described(description, policy=None):
    """Creates a layer from its description, without building it.

    The description of a built layer would build it at once. Its sublayers would then
    lack the paths by which their policies are found.

    Args:
        description: A layer serialized by `keras.saving.serialize_keras_object`.
        policy: The dtype policy of the layer around it. If it lists quantized
            sublayers, the new layer gets these entries too.
    """
    description = {k: x for k, x in description.items() if k != "build_config"}
    if isinstance(policy, DTypePolicyMap):
        own = keras.dtype_policies.get(description["config"].get("dtype"))
        own = getattr(own, "default_policy", own).name
        dtype = keras.dtype_policies.serialize(DTypePolicyMap(own, dict(policy)))
        description["config"] = {**description["config"], "dtype": dtype}
    return keras.saving.deserialize_keras_object(description)


def in_float32(policy):
    """The dtype policy of a sublayer that always computes in float32.

    Args:
        policy: The dtype policy of the layer around it, which may list quantized
            sublayers.
    """
    if isinstance(policy, DTypePolicyMap):
        return DTypePolicyMap("float32", dict(policy))
    return "float32"


def _pattern(layer, sublayer):
    """The regular expression for the path of a sublayer, starting at a layer."""
    below = sublayer.path.removeprefix(f"{layer.path}/")
    if below != sublayer.path:
        below = f"{layer.name}/{below}"
    return rf"(?:.*/)?{re.escape(below)}"


def _policy(layer):
    policy = layer.dtype_policy
    if isinstance(policy, DTypePolicyMap):
        return policy[layer.path]
    return policy
