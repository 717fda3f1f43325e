"""Tools of the checks: building layers, naming weights, computing gradients."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_twa.testing import backends

BATCH, QUERY_LENGTH, KEY_LENGTH = 2, 7, 5
QUERY_WIDTH, VALUE_WIDTH = 6, 3
HEADS, HEAD_WIDTH = 2, 4

TENSORS = ("query", "value", "key")
# Parts of the names of weights with random initial values.
RANDOM_AT_FIRST = ("kernel", "embeddings", "ids", "initial")


@dataclasses.dataclass
class Run:
    """The results of one call of a layer, as NumPy arrays."""

    output: np.ndarray
    scores: np.ndarray | None = None
    inputs: dict | None = None  # gradients by argument name
    weights: dict | None = None  # gradients by weight name

    def gradients(self):
        """Return all gradients in one dict."""
        return {**self.inputs, **{f"weight {k}": v for k, v in self.weights.items()}}


def to_numpy(tensor):
    """Return a tensor as a NumPy array; half precision becomes float32."""
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype)):
        tensor = ops.cast(tensor, "float32")
    return ops.convert_to_numpy(tensor)


def randomise(layer, seed=1, scale=0.5):
    """Move every trainable weight off its initial value, so that each one matters.

    Random initial values, which differ between backends, are replaced.
    """
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        value = ops.convert_to_numpy(variable.value)
        if any(word in variable.name for word in RANDOM_AT_FIRST):
            value = 0.0
        noise = rng.normal(size=variable.shape, scale=scale)
        variable.assign((value + noise).astype("float32"))


def built(case, call, noise_seed=1, dtype=None, **options):
    """Return the case's layer, built on the shapes in `call`, with random weights."""
    if dtype is not None:
        options["dtype"] = dtype
    # The noise below is enough, and JAX compiles a random initializer for each shape.
    options.setdefault("kernel_initializer", "zeros")
    layer = case.make(**options)
    shapes = {f"{name}_shape": np.shape(call[name]) for name in TENSORS if name in call}
    layer.build(**shapes)
    randomise(layer, noise_seed)
    return layer


def weight_names(layer):
    """Return a dict from name, such as `"query/kernel"`, to variable."""
    function = getattr(layer, "temporal_function", None)
    inside = getattr(function, "variables", [])
    names = {f"temporal_function/{v.name}": v for v in inside}
    taken = {id(v) for v in names.values()}
    for variable in layer.variables:
        if id(variable) not in taken and "seed_generator" not in variable.path:
            names[variable.path.removeprefix(f"{layer.path}/")] = variable
    return names


def weights_of(layer):
    """Return the layer's weights by name in float64, for the references."""
    return {
        name: ops.convert_to_numpy(variable.value).astype("float64")
        for name, variable in weight_names(layer).items()
    }


def copy_weights(source, target):
    """Give `target` the weights of `source`, by name."""
    values = weights_of(source)
    for name, variable in weight_names(target).items():
        variable.assign(values[name].astype("float32"))


def split(call, layer=None):
    """Return (float tensors, everything else) of the call's arguments.

    For a layer for self-attention only, the value is the query and is left out.
    """
    tensors = {k: np.asarray(v) for k, v in call.items() if k in TENSORS}
    if layer is not None and not layer.cross_attention:
        tensors.pop("value", None)
    options = {k: v for k, v in call.items() if k not in TENSORS}
    return tensors, options


def run(layer, call):
    """Call the layer eagerly; return its output and, if requested, its scores."""
    result = layer(**call)
    if call.get("return_attention_scores"):
        return Run(to_numpy(result[0]), to_numpy(result[1]))
    return Run(to_numpy(result))


def run_with_gradients(layer, call, cotangent):
    """Call the layer and differentiate `sum(output * cotangent)`.

    Outputs are left out of the sum where the cotangent is 0, so that NaN there reaches
    the gradient only through the layer itself.
    """
    tensors, options = split(call, layer)
    cotangent = np.asarray(cotangent, "float32")

    def loss_of(result):
        output = result[0] if call.get("return_attention_scores") else result
        counted = ops.where(cotangent != 0, ops.cast(output, "float32"), 0.0)
        return ops.sum(counted * ops.convert_to_tensor(cotangent)), result

    names = [n for n, v in weight_names(layer).items() if v.trainable]
    variables = [weight_names(layer)[n] for n in names]
    result, inputs, weights = backends.gradients(
        layer, tensors, options, variables, loss_of
    )
    outcome = Run(to_numpy(result))
    if call.get("return_attention_scores"):
        outcome = Run(to_numpy(result[0]), to_numpy(result[1]))
    outcome.inputs = {k: _dense(g, tensors[k].shape) for k, g in inputs.items()}
    outcome.weights = {
        name: _dense(gradient, variable.shape)
        for name, variable, gradient in zip(names, variables, weights, strict=True)
    }
    return outcome


def _dense(gradient, shape):
    """Return a gradient as NumPy; a missing one is zero."""
    return np.zeros(shape, "float32") if gradient is None else to_numpy(gradient)


def assert_close(actual, expected, what, tolerance=1e-4):
    """Assert that two arrays agree, with an absolute and a relative tolerance."""
    np.testing.assert_allclose(
        actual, expected, rtol=tolerance, atol=tolerance, err_msg=what
    )


def assert_finite(array, what):
    """Assert that an array holds neither Inf nor NaN."""
    assert np.isfinite(array).all(), f"{what} is not finite: {array}"
