"""The only folder that knows which backend runs.

Each module offers the same few functions; this one picks the module, once.

`scan(body, carry, slices, num_results) -> (carry, results)`
    Calls `body(carry, part) -> (carry, results)` for each part along the first axis
    of the tensors in the dictionary `slices`, and stacks the results. `carry` and the
    results are lists of float32 tensors. Cannot be differentiated.

`add_columns(total, part, first) -> total`
    Adds `part` to the columns of `total` that begin at `first`. May reuse `total`.

`differentiable(passes, tensors) -> outputs`
    A tuple of outputs, `passes.forward(*tensors)`, whose gradients are
    `passes.backward(tensors, outputs, gradients, needed)`: one for each tensor, or
    `None` where `needed` is false. `passes` is hashable; equal ones compute the same.

`pullback(function, tensors, needed) -> (output, pull)`
    The output of `function(*tensors)`, and the function from a gradient of it to the
    gradients of the tensors.

`matmul(x, y)`
    `(g, t, n)` times `(g, n, s)`.

`exp_difference(x, y)`, `softmax_gradient(weights, gradient, mean)`
    `exp(x - y)`, and `weights * (gradient - mean)`, which may reuse `gradient`.

`future_bias(last_visible, keys)`
    From integers `(t,)` and `(s,)`: 0, or `-inf` where the key is after the last that
    the query sees.

`kept(left, right, threshold)`, `keep(weights, kept)`
    Dropout: from well-mixed integers `(g, t)` and `(s,)`, for every pair, whether 31
    random bits are at least `threshold`; and the float32 weights for which they are.

`floored_inverse(x, floor)`
    `1 / max(x, floor)`, with `floor` positive and without a gradient. May reuse `x`.

`fused_attention(query, key, value, mask, causal, scale)`
    The backend's own kernel; `None` where none beats the tiled one.
"""

import importlib

import keras

NAME = keras.backend.backend()

if NAME not in ("tensorflow", "jax", "torch"):
    raise ValueError(
        "keras_twa runs on the tensorflow, jax and torch backends of Keras. "
        f"Received: KERAS_BACKEND={NAME}"
    )
_module = importlib.import_module(f"{__name__}.{NAME}")

scan = _module.scan
add_columns = _module.add_columns
differentiable = _module.differentiable
pullback = _module.pullback
matmul = _module.matmul
future_bias = _module.future_bias
kept = _module.kept
keep = _module.keep
exp_difference = _module.exp_difference
softmax_gradient = _module.softmax_gradient
floored_inverse = _module.floored_inverse
fused_attention = _module.fused_attention
device_name = _module.device_name
device_peak_memory = _module.device_peak_memory
