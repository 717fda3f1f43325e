"""The only folder that knows which backend runs.

Each module offers the same few functions; this one picks the module, once.

`scan(body, carry, slices, results) -> (carry, results)`
    Calls `body(carry, part, index) -> (carry, results)` for each part along the first
    axis of the tensors in the nest `slices`, and stacks the results. `carry` and the
    results are nests of float32 tensors, of which `results` is the structure, with
    anything in place of tensors. `index` counts the parts: an integer, or a tensor of
    one. Cannot be differentiated.

`columns(x, first, count)`
    `count` columns of `x`, from `first`, which may be a tensor.

`add_columns(total, part, first) -> total`
    Adds `part` to the columns of `total` that begin at `first`. May reuse `total`.

`add_entries(total, part, places) -> total`
    Adds `part`, `(rows, m, ...)`, to the entries of `total`, `(rows, n, ...)`, at the
    integers `places`, `(m,)`, some of which may be the same. May reuse `total`.

`differentiable(passes, tensors) -> outputs`
    `passes.forward(tensors)`, a dictionary of outputs, whose gradients are
    `passes.backward(tensors, outputs, gradients, needed)`: a dictionary of those of the
    tensors, without the names that have none. `needed` says of each tensor whether its
    gradient is asked for. `passes` is hashable; equal ones compute the same. Gradients
    of gradients are those of the operations in `forward`.

`pullback(function, tensors, needed) -> (output, pull)`
    The output of `function(tensors)`, and the function from its gradient to the
    gradients of the tensors. All are nests.

`KEY_SPAN`
    Tiles of one row are divided into spans of at least so many keys, or with `None`
    not at all.

`matmul(x, y)`
    `(g or 1, t, n)` times `(g or 1, n, s)`.

`softmax(logits, axes) -> (weights, total, log_total)`
    The exponentials of the logits, over that of the largest along `axes`; their sums;
    and the logarithms of the sums of `exp(logits)` themselves. Finite also where all
    logits are `-inf`.

`exp_difference(x, y)`, `softmax_gradient(weights, gradient, mean)`
    `exp(x - y)`, and `weights * (gradient - mean)`, which may reuse `gradient`.

`future_bias(last_visible, keys)`
    From integers `(t,)` and `(g, s)`, `(g, t, s)` of 0, or `-inf` where the key is
    after the last that the query sees.

`kept(left, right, threshold)`, `keep(weights, kept)`
    Dropout: from well-mixed integers `(g, t)` and `(g or 1, s)`, for every pair,
    whether 31 random bits are below `threshold`; and the float32 weights for which
    they are. `keep_only` may use up `weights`, and has no gradient.

`floored_inverse(x, floor)`
    `1 / max(x, floor)`, with `floor` positive and without a gradient.

`layer_normalization(x, gamma, beta, epsilon)`
    As of Keras, along the last axis, with or without gamma and beta; differentiable
    twice.

`turned(pairs, cosine, sine)`
    Float32 `(..., n, 2)`, each pair turned by the angle that has these, `(..., n)`.

`on_gpu(x)`
    Whether `x` is on a GPU that the backend has kernels of its own for.

`compiled(function)`
    A function of nests of tensors, without gradients. Where the backend would be slow
    otherwise, it is compiled, once for the shapes of its arguments. It assigns nothing.

`known(x)`
    The integer in a tensor, or `None` where nobody knows it yet, or to look would stop
    a GPU.

`array(x)`
    The NumPy array of a tensor, or `None` where nobody knows it yet, or to look would
    stop a GPU.

`apply_if(condition, function, x)`
    `function(x)`, of the shape and dtype of `x`, if a boolean scalar is true, else `x`.
    Where to look at the scalar would stop a GPU or a compiler, it is `function(x)`,
    which must then change nothing.

`inverse(places)`
    Of permutations, int32 `(B, L)`, those that undo them.

`needs_gradient(x)`
    Whether a gradient may be asked of `x`; true where nobody can know.

`fused_attention(query, key, value, mask, causal, scale)`
    The backend's own kernel for scaled dot-product attention.

`fuses(gpu, dtype, width, pairs)`
    Whether that kernel takes heads of such a width, with a mask of pairs or without,
    and is not beaten by the tiled one.

`FUSED_MASKS`
    Whether it takes a mask of keys as it is, `(B, 1, 1, S)`.

`flex_attention(query, key, value, constants, mask, exponent, log, adds)`
    The backend's own kernel for functions of an inner product, here forces.

`flexes(gpu, dtype, width, value_width)`
    Whether that kernel takes heads of such widths.

`random_states() -> arrays`, `set_random_states(arrays)`
    The states of the backend's global random generators that Keras reads. Only
    PyTorch has some: its dropout without a seed reads them.
"""

import importlib

import keras

from keras_twa import missing_backend

NAME = keras.backend.backend()

if NAME not in missing_backend.BACKENDS:
    raise ImportError(missing_backend.describe(NAME, f"KERAS_BACKEND={NAME}"))
_module = importlib.import_module(f"{__name__}.{NAME}")

scan = _module.scan
columns = _module.columns
add_columns = _module.add_columns
add_entries = _module.add_entries
differentiable = _module.differentiable
pullback = _module.pullback
KEY_SPAN = _module.KEY_SPAN
matmul = _module.matmul
future_bias = _module.future_bias
kept = _module.kept
keep = _module.keep
keep_only = _module.keep_only
softmax = _module.softmax
exp_difference = _module.exp_difference
softmax_gradient = _module.softmax_gradient
floored_inverse = _module.floored_inverse
layer_normalization = _module.layer_normalization
turned = _module.turned
on_gpu = _module.on_gpu
compiled = _module.compiled
known = _module.known
apply_if = _module.apply_if
inverse = _module.inverse
array = _module.array
needs_gradient = _module.needs_gradient
fuses = _module.fuses
fused_attention = _module.fused_attention
FUSED_MASKS = _module.FUSED_MASKS
flexes = _module.flexes
flex_attention = _module.flex_attention
device_name = _module.device_name
device_peak_memory = _module.device_peak_memory
random_states = _module.random_states
set_random_states = _module.set_random_states
