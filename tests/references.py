"""Every attention mechanism as a plain NumPy loop in float64, and its derivatives.

The loops go over batch, head, query and key, one logit at a time: slow, and easy to
compare with the formula. `weights` is a flat dict of arrays named by their path inside
the layer, such as `"query/kernel"`. Each mechanism returns `(output, scores)`: the
layer's output after the output projection, and the attention weights
`(batch, heads, query length, key length)`.

Derivatives come from the complex step (Squire and Trapp, 1998): for an analytic `f`,
`Im f(x + ih) / h` is the derivative to machine precision, with no step size to tune.
So everything here accepts complex numbers: comparisons look at the real part.
"""

import math

import numpy as np

LAYER_NORM_EPSILON = 1e-5


# Scalar functions that also hold for complex numbers.


def softplus(x):
    """Return `log(1 + exp(x))` without overflow."""
    return x + np.log1p(np.exp(-x)) if np.real(x) > 0 else np.log1p(np.exp(x))


def sigmoid(x):
    """Return `1 / (1 + exp(-x))` without overflow."""
    if np.real(x) >= 0:
        return 1 / (1 + np.exp(-x))
    return np.exp(x) / (1 + np.exp(x))


def relu(x):
    """Return `x` where its real part is positive, else 0."""
    return np.where(np.real(x) > 0, x, 0.0)


# Dense layers.


def project(weights, name, inputs):
    """Apply the `(features, heads, width)` projection called `name`."""
    outputs = np.einsum("btf,fhd->bthd", inputs, weights[f"{name}/kernel"])
    return outputs + weights.get(f"{name}/bias", 0.0)


def project_output(weights, heads_output):
    """Merge `(batch, length, heads, width)` into the layer's output."""
    outputs = np.tensordot(heads_output, weights["attention_output/kernel"], axes=2)
    return outputs + weights.get("attention_output/bias", 0.0)


def decode_timescales(weights, outputs, num_timescales):
    """Combine the timescales of each head: expand, normalise, relu, read.

    `outputs` is `(batch, length, timescales * heads, width)`, timescale-major.
    """
    batch, length, all_heads, _ = outputs.shape
    heads = all_heads // num_timescales
    expand, read = (weights[f"timescales/{name}/kernel"] for name in ("expand", "read"))
    none = np.zeros(heads)
    expand_bias = weights.get("timescales/expand/bias", none)
    read_bias = weights.get("timescales/read/bias", none)
    gamma = weights["timescales/norm/gamma"]
    beta = weights.get("timescales/norm/beta", 0.0)
    decoded = np.zeros((batch, length, heads, read.shape[-1]), np.complex128)
    for b, i, h in np.ndindex(batch, length, heads):
        joined = np.concatenate(
            [outputs[b, i, s * heads + h] for s in range(num_timescales)]
        )
        hidden = joined @ expand[h] + expand_bias[h]
        centred = hidden - hidden.mean()
        variance = (centred * centred).mean()
        hidden = centred / np.sqrt(variance + LAYER_NORM_EPSILON) * gamma + beta
        decoded[b, i, h] = relu(hidden) @ read[h] + read_bias[h]
    return decoded


# Masks and positions.


def visible_pairs(
    batch,
    heads,
    query_length,
    key_length,
    query_mask=None,
    value_mask=None,
    key_mask=None,
    attention_mask=None,
    use_causal_mask=False,
):
    """Return `(batch, heads, query, key)` booleans: may this query see this key?

    A pairwise mask with fewer heads than `heads` (timescales times heads) repeats for
    every timescale.
    """
    shape = (batch, heads, query_length, key_length)
    if attention_mask is not None:
        pairs = np.asarray(attention_mask, bool)
        pairs = pairs[:, None] if pairs.ndim == 3 else pairs
        if pairs.ndim == 4 and pairs.shape[1] not in (1, heads):
            pairs = np.concatenate([pairs] * (heads // pairs.shape[1]), axis=1)
        pairs = np.broadcast_to(pairs, shape)
    visible = np.zeros(shape, bool)
    for b, h, i, j in np.ndindex(shape):
        visible[b, h, i, j] = (
            (query_mask is None or query_mask[b][i])
            and (value_mask is None or value_mask[b][j])
            and (key_mask is None or key_mask[b][j])
            and (attention_mask is None or pairs[b, h, i, j])
            and (not use_causal_mask or j <= i + key_length - query_length)
        )
    return visible


def times(positions, batch, length):
    """Return positions as `(batch, length)` float64; by default 0, 1, 2, ..."""
    if positions is None:
        positions = np.arange(length)
    return np.broadcast_to(np.asarray(positions, np.float64), (batch, length))


# The softmax over visible keys, shared by all.


def attend(logit, visible, values):
    """Average `values` with softmax weights of `logit(b, h, i, j)`.

    Args:
        logit: Function of batch, head, query and key index.
        visible: Booleans, `(batch, heads, query, key)`.
        values: Array `(batch, key, heads, width)`.

    Returns:
        `(outputs, scores)`: `(batch, query, heads, width)`, `(batch, heads, query,
        key)`. A query that sees no key gets 0 in both.
    """
    batch, heads, query_length, key_length = visible.shape
    outputs = np.zeros((batch, query_length, heads, values.shape[-1]), np.complex128)
    scores = np.zeros(visible.shape, np.complex128)
    for b in range(batch):
        for h in range(heads):
            for i in range(query_length):
                keys = [j for j in range(key_length) if visible[b, h, i, j]]
                if not keys:
                    continue
                logits = np.array([logit(b, h, i, j) for j in keys])
                exponentials = np.exp(logits - logits.real.max())
                normaliser = exponentials.sum()
                for j, exponential in zip(keys, exponentials, strict=True):
                    scores[b, h, i, j] = exponential / normaliser
                    outputs[b, i, h] += scores[b, h, i, j] * values[b, j, h]
    return outputs, scores


def finish(weights, outputs, scores=None):
    """Project the heads' outputs; drop the imaginary part if it is zero."""
    outputs = project_output(weights, outputs)
    if outputs.imag.any() or (scores is not None and scores.imag.any()):
        return outputs, scores
    return outputs.real, None if scores is None else scores.real


def add_up(weight, visible, values, normalize):
    """Return sums of `values` times `weight(b, h, i, j)`; `normalize`: over theirs.

    A query that sees no key gets 0.
    """
    batch, heads, query_length, key_length = visible.shape
    outputs = np.zeros((batch, query_length, heads, values.shape[-1]), np.complex128)
    for b, h, i in np.ndindex(batch, heads, query_length):
        keys = [j for j in range(key_length) if visible[b, h, i, j]]
        found = [weight(b, h, i, j) for j in keys]
        for j, w in zip(keys, found, strict=True):
            outputs[b, i, h] += w * values[b, j, h]
        if normalize and keys:
            outputs[b, i, h] /= sum(found)
    return outputs


# The mechanisms.


def dot_product(weights, query, value, key=None, **call):
    """Return softmax(q.k / sqrt(D)) v."""
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    scale = 1 / math.sqrt(q.shape[-1])

    def logit(b, h, i, j):
        return (q[b, i, h] @ k[b, j, h]) * scale

    return finish(weights, *attend(logit, visible, v))


def temporal_weighted(
    weights,
    query,
    value,
    key=None,
    *,
    temporal_function="linear",
    mode="multiplicative",
    applies_to="key",
    time_scale=100.0,
    **call,
):
    """Return softmax((q.k) W / sqrt(D)) v, or softmax(q.k / sqrt(D) + log W) v.

    `temporal_function` is a name, or a function of `(weights, u, head)`.
    """
    q, k, v, visible, (query_times, key_times) = prepare(
        weights, query, value, key, **call
    )
    scale = 1 / math.sqrt(q.shape[-1])
    function = TEMPORAL_FUNCTIONS.get(temporal_function, temporal_function)

    def logit(b, h, i, j):
        time = {
            "key": key_times[b, j],
            "query": query_times[b, i],
            "lag": query_times[b, i] - key_times[b, j],
        }[applies_to]
        weight = sigmoid(function(weights, time / time_scale, h))
        dot = q[b, i, h] @ k[b, j, h]
        if mode == "multiplicative":
            return dot * weight * scale
        return dot * scale + np.log(weight)

    return finish(weights, *attend(logit, visible, v))


def gravitational(
    weights,
    query,
    value,
    key=None,
    *,
    exponent=2.0,
    softening=0.5,
    normalization="softmax",
    **call,
):
    """Return softmax(F) v or F v / sum(F), F = G m_q m_k / (r^2 + e^2)^(p/2)."""
    _, _, v, visible, _ = prepared = prepare(weights, query, value, key, **call)
    force = force_between(weights, query, value, key, prepared, exponent, softening)

    def logit(b, h, i, j):
        pull = force(b, h, i, j)
        return pull if normalization == "softmax" else np.log(pull)

    return finish(weights, *attend(logit, visible, v))


def multi_timescale(
    weights, query, value, key=None, *, discount="multiplicative", **call
):
    """Return the decoded attentions, one per discount gamma, of q.k / sqrt(D).

    The logit is multiplied by gamma^|dt|, or gets |dt| log(gamma) added.
    """
    q, k, v, visible, moments = prepare(weights, query, value, key, **call)
    scale = 1 / math.sqrt(q.shape[-1])
    log_gamma, num_timescales = log_discounts(weights, q.shape[2])

    def logit(b, h, i, j):
        dot = (q[b, i, h] @ k[b, j, h]) * scale
        fade = abs(moments[0][b, i] - moments[1][b, j]) * log_gamma[h]
        return dot * np.exp(fade) if discount == "multiplicative" else dot + fade

    outputs, scores = attend(logit, visible, v)
    return finish(weights, decode_timescales(weights, outputs, num_timescales), scores)


def gravitational_multi_timescale(
    weights,
    query,
    value,
    key=None,
    *,
    discount="multiplicative",
    exponent=2.0,
    softening=0.5,
    normalization="softmax",
    **call,
):
    """Return the decoded attentions, one per discount gamma, of the force."""
    q, _, v, visible, moments = prepared = prepare(weights, query, value, key, **call)
    force = force_between(weights, query, value, key, prepared, exponent, softening)
    log_gamma, num_timescales = log_discounts(weights, q.shape[2])

    def logit(b, h, i, j):
        pull = force(b, h, i, j)
        fade = abs(moments[0][b, i] - moments[1][b, j]) * log_gamma[h]
        if discount == "multiplicative":
            pull = pull * np.exp(fade)
            return pull if normalization == "softmax" else np.log(pull)
        return (pull if normalization == "softmax" else np.log(pull)) + fade

    outputs, scores = attend(logit, visible, v)
    return finish(weights, decode_timescales(weights, outputs, num_timescales), scores)


def local(weights, query, value, key=None, *, window=128, **call):
    """Return softmax(q.k / sqrt(D)) v over the keys fewer than `window` steps away."""
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    scale = 1 / math.sqrt(q.shape[-1])
    for b, h, i, j in np.ndindex(visible.shape):
        visible[b, h, i, j] &= abs(i - j) < window

    def logit(b, h, i, j):
        return (q[b, i, h] @ k[b, j, h]) * scale

    return finish(weights, *attend(logit, visible, v))


def forgetting(weights, query, value, key=None, **call):
    """Return softmax(q.k / sqrt(D) + c_i - c_j) v, c being the sum of log f so far."""
    call = {**call, "use_causal_mask": True}
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    gates = project(weights, "forget", query)[..., 0]
    scale = 1 / math.sqrt(q.shape[-1])
    level = np.zeros(gates.shape, np.complex128)
    for b, i, h in np.ndindex(gates.shape):
        before = level[b, i - 1, h] if i else 0.0
        masks = (call.get("value_mask"), call.get("key_mask"))
        real = all(mask is None or mask[b][i] for mask in masks)
        level[b, i, h] = before + (np.log(sigmoid(gates[b, i, h])) if real else 0.0)

    def logit(b, h, i, j):
        dot = (q[b, i, h] @ k[b, j, h]) * scale
        return dot + level[b, i, h] - level[b, j, h]

    return finish(weights, *attend(logit, visible, v))


def elu_plus_one(x):
    """Return `x + 1` where `x` is positive, else `exp(x)`."""
    return np.where(np.real(x) > 0, x + 1, np.exp(np.where(np.real(x) > 0, 0, x)))


def linear(weights, query, value, key=None, *, feature_map=elu_plus_one, **call):
    """Return sum_j (phi(q).phi(k)) v / sum_j phi(q).phi(k)."""
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    q, k = feature_map(q), feature_map(k)

    def weight(b, h, i, j):
        return q[b, i, h] @ k[b, j, h]

    return finish(weights, add_up(weight, visible, v, normalize=True))


def performer(weights, query, value, key=None, **call):
    """Return sum_j (phi(q).phi(k)) v / sum_j phi(q).phi(k), phi being random features.

    phi(x) = exp(w x' - |x'|^2 / 2) for each direction w, with x' = x / D^(1/4).
    """
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    directions, scale = weights["directions"], q.shape[-1] ** -0.25

    def features(x):
        x = x * scale
        return np.exp(x @ directions - 0.5 * (x * x).sum(axis=-1, keepdims=True))

    q, k = features(q), features(k)

    def weight(b, h, i, j):
        return q[b, i, h] @ k[b, j, h]

    return finish(weights, add_up(weight, visible, v, normalize=True))


def rotated(x, moments):
    """Return `(batch, length, heads, width)` with pairs of channels turned by time."""
    found = x.astype(np.complex128)
    pairs = x.shape[-1] // 2
    for b, i, h, p in np.ndindex(*x.shape[:3], pairs):
        angle = moments[b, i] / 10_000 ** (p / pairs)
        cosine, sine = np.cos(angle), np.sin(angle)
        even, odd = x[b, i, h, 2 * p : 2 * p + 2]
        found[b, i, h, 2 * p] = even * cosine - odd * sine
        found[b, i, h, 2 * p + 1] = even * sine + odd * cosine
    return found


def retention(weights, query, value, key=None, *, discounts=None, epsilon=1e-5, **call):
    """Return the gated, normalised sum_j gamma^(t_i - t_j) (q.k / sqrt(D)) v."""
    call = {**call, "use_causal_mask": True, "key_positions": None}
    call["key_positions"] = call.get("query_positions")
    q, k, v, visible, (moments, _) = prepare(weights, query, value, key, **call)
    q, k = rotated(q, moments) / math.sqrt(q.shape[-1]), rotated(k, moments)
    if discounts is None:
        discounts = [1 - 2.0 ** -(5 + h) for h in range(q.shape[2])]

    def weight(b, h, i, j):
        fade = discounts[h] ** (moments[b, i] - moments[b, j])
        return (q[b, i, h] @ k[b, j, h]) * fade

    outputs = add_up(weight, visible, v, normalize=False)
    outputs = outputs - outputs.mean(axis=-1, keepdims=True)
    variance = (outputs * outputs).mean(axis=-1, keepdims=True)
    gate = project(weights, "gate", query)
    silu = np.vectorize(lambda x: x * sigmoid(x), otypes=[np.complex128])
    return finish(weights, outputs / np.sqrt(variance + epsilon) * silu(gate))


def prepare(
    weights, query, value, key, *, query_positions=None, key_positions=None, **masks
):
    """Return q, k, v per head, the visible pairs and the (query, key) times."""
    key = value if key is None else key
    q = project(weights, "query", query)
    k = project(weights, "key", key)
    v = project(weights, "value", value)
    batch, query_length, heads, _ = q.shape
    key_length = k.shape[1]
    visible = visible_pairs(batch, heads, query_length, key_length, **masks)
    moments = (
        times(query_positions, batch, query_length),
        times(key_positions, batch, key_length),
    )
    return q, k, v, visible, moments


def force_between(weights, query, value, key, prepared, exponent, softening):
    """Return the gravitational force as a function of batch, head, query, key."""
    q, k, *_ = prepared
    query_mass = project(weights, "query_mass", query)
    key_mass = project(weights, "key_mass", value if key is None else key)
    gravity = np.exp(weights["gravity/log_gravity"])

    def force(b, h, i, j):
        away = q[b, i, h] - k[b, j, h]
        softened = (away * away).sum() + softening**2
        masses = softplus(query_mass[b, i, h, 0]) * softplus(key_mass[b, j, h, 0])
        return gravity[h, 0] * masses / softened ** (exponent / 2)

    return force


def log_discounts(weights, all_heads):
    """Return log(gamma) of each of the `timescales * heads`, and how many timescales.

    The heads are timescale-major, so each timescale's discount repeats for its heads.
    """
    logits = weights["timescales/discount_logits"]
    log_gamma = np.array([-softplus(-logit) for logit in logits])  # log(sigmoid)
    return np.repeat(log_gamma, all_heads // len(logits)), len(logits)


# The built-in temporal functions, of `(weights, u, head)`, before the sigmoid.


def temporal_linear(weights, u, head):
    """Return offset + slope u."""
    offset, slope = (
        weights[f"temporal_function/{name}"] for name in ("offset", "slope")
    )
    return offset[head] + slope[head] * u


def temporal_sinusoidal(weights, u, head):
    """Return offset + amplitude sin(2 pi frequency u + phase)."""
    offset, amplitude, frequency, phase = (
        weights[f"temporal_function/{name}"][head]
        for name in ("offset", "amplitude", "frequency", "phase")
    )
    return offset + amplitude * np.sin(2 * np.pi * frequency * u + phase)


def temporal_exponential(weights, u, head):
    """Return offset + amplitude exp(-softplus(rate) |u|)."""
    offset, amplitude, rate = (
        weights[f"temporal_function/{name}"][head]
        for name in ("offset", "amplitude", "rate")
    )
    return offset + amplitude * np.exp(-softplus(rate) * abs(u))


def temporal_learned(weights, u, head):
    """Return offset + tanh(u hidden_kernel + hidden_bias) @ output_kernel."""
    kernel, bias, read, offset = (
        weights[f"temporal_function/{name}"]
        for name in ("hidden_kernel", "hidden_bias", "output_kernel", "offset")
    )
    hidden = np.tanh(u * kernel.reshape(-1) + bias)
    return offset[head] + hidden @ read[:, head]


TEMPORAL_FUNCTIONS = {
    "linear": temporal_linear,
    "sinusoidal": temporal_sinusoidal,
    "exponential": temporal_exponential,
    "learned": temporal_learned,
}


# Derivatives.


def directional_derivative(function, arguments, name, direction, step=1e-30):
    """Return d/dh of `function(arguments)` as `arguments[name]` moves by h direction.

    `function` maps a dict of arrays to a real number, computed analytically.
    """
    moved = dict(arguments)
    moved[name] = arguments[name] + 1j * step * direction
    return np.imag(function(moved)) / step
