"""How a layer made of layers is saved after some of them were quantized."""

import re

import keras
from keras.dtype_policies import DTypePolicyMap


def dtype_config(layer):
    """The entry `dtype` of a config, with the policies of quantized sublayers.

    Sublayers that a layer makes itself have no config of their own. Without their
    policies they would come back in floating point, and not find their weights.

    The policies are found by regular expressions of the paths below this layer: what
    stands above it may have another name when a file is loaded, or not be there yet.

    Args:
        layer: A built layer, or one that is not built yet.

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
    """A new layer from its description, which is built only where it is used.

    Built at once, as a description of a built layer asks for, its sublayers would not
    have the paths by which their policies are found.

    Args:
        description: What `keras.saving.serialize_keras_object` made of a layer.
        policy: That of the layer around it. If it says what is quantized, the new layer
            gets this too.
    """
    description = {k: x for k, x in description.items() if k != "build_config"}
    if isinstance(policy, DTypePolicyMap):
        own = keras.dtype_policies.get(description["config"].get("dtype"))
        own = getattr(own, "default_policy", own).name
        dtype = keras.dtype_policies.serialize(DTypePolicyMap(own, dict(policy)))
        description["config"] = {**description["config"], "dtype": dtype}
    return keras.saving.deserialize_keras_object(description)


def in_float32(policy):
    """The dtype policy of a sublayer that computes in float32, whatever the others do.

    Args:
        policy: That of the layer around it, which may say what is quantized.
    """
    if isinstance(policy, DTypePolicyMap):
        return DTypePolicyMap("float32", dict(policy))
    return "float32"


def _pattern(layer, sublayer):
    """The regular expression that finds the path of a sublayer, from a layer on."""
    below = sublayer.path.removeprefix(f"{layer.path}/")
    if below != sublayer.path:
        below = f"{layer.name}/{below}"
    return rf"(?:.*/)?{re.escape(below)}"


def _policy(layer):
    policy = layer.dtype_policy
    if isinstance(policy, DTypePolicyMap):
        return policy[layer.path]
    return policy
