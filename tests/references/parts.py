"""What the loops share: dense layers, masks, positions, sums over visible keys."""

import math

import numpy as np

from tests.references.convolution import convolved
from tests.references.positions import turned


def project(weights, name, inputs):
    """Apply the `(features, heads, width)` projection called `name`."""
    outputs = np.einsum("btf,fhd->bthd", inputs, weights[f"{name}/kernel"])
    return outputs + weights.get(f"{name}/bias", 0.0)


def hidden(inputs, mask):
    """Return inputs with zeros at the steps that a mask hides."""
    return inputs if mask is None else np.where(np.asarray(mask)[..., None], inputs, 0)


def project_output(weights, heads_output):
    """Merge `(batch, length, heads, width)` into the layer's output."""
    outputs = np.tensordot(heads_output, weights["attention_output/kernel"], axes=2)
    return outputs + weights.get("attention_output/bias", 0.0)


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


def real_keys(k, value_mask=None, key_mask=None, attention_mask=None, **_):
    """Return `(batch, key)` booleans: is this key no padding?"""
    real = np.ones(k.shape[:2], bool)
    for mask in (value_mask, key_mask):
        real &= True if mask is None else np.asarray(mask, bool)
    if attention_mask is not None:
        pairs = np.asarray(attention_mask, bool)
        real &= pairs.any(axis=tuple(range(1, pairs.ndim - 1)))
    return real


def times(positions, batch, length):
    """Return positions as `(batch, length)` float64; by default 0, 1, 2, ..."""
    if positions is None:
        positions = np.arange(length)
    return np.broadcast_to(np.asarray(positions, np.float64), (batch, length))


def numbers(batch, length, query_mask=None, value_mask=None, key_mask=None, **_):
    """Return the number of each step of self-attention that is no padding.

    Padding is masked both as a query and as a key.
    """
    found = np.zeros((batch, length), int)
    for b in range(batch):
        count = 0
        for i in range(length):
            is_key = all(m is None or m[b][i] for m in (value_mask, key_mask))
            is_query = query_mask is None or query_mask[b][i]
            count += bool(is_key or is_query)
            found[b, i] = max(count - 1, 0)
    return found


def prepare(
    weights,
    query,
    value,
    key,
    *,
    query_positions=None,
    key_positions=None,
    positions=None,
    **masks,
):
    """Return q, k, v per head, the visible pairs and the (query, key) times.

    With rotary `positions`, q and k are turned; with a convolution, all are convolved.
    """
    if key_positions is None and value is query:
        key_positions = query_positions
    key = value if key is None else key
    q = project(weights, "query", hidden(query, masks.get("query_mask")))
    k = project(weights, "key", key)
    v = project(weights, "value", value)
    q, k, v = convolved(weights, q, k, v, real_keys(k, **masks))
    batch, query_length, heads, _ = q.shape
    key_length = k.shape[1]
    visible = visible_pairs(batch, heads, query_length, key_length, **masks)
    if value is query and query_positions is None:
        query_positions = key_positions = numbers(batch, query_length, **masks)
    moments = (
        times(query_positions, batch, query_length),
        times(key_positions, batch, key_length),
    )
    q, k = turned(q, moments[0], positions), turned(k, moments[1], positions)
    return q, k, v, visible, moments


def attend(logit, visible, values, sinks=None):
    """Average `values` with softmax weights of `logit(b, h, i, j)`.

    Args:
        logit: Function of batch, head, query and key index.
        visible: Booleans, `(batch, heads, query, key)`.
        values: Array `(batch, key, heads, width)`.
        sinks: For each head the logit of one more key, without a value; or `None`.

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
                sink = -math.inf if sinks is None else sinks[h]
                highest = max(logits.real.max(), np.real(sink))
                exponentials = np.exp(logits - highest)
                normaliser = exponentials.sum() + np.exp(sink - highest)
                for j, exponential in zip(keys, exponentials, strict=True):
                    scores[b, h, i, j] = exponential / normaliser
                    outputs[b, i, h] += scores[b, h, i, j] * values[b, j, h]
    return outputs, scores


def add_up(weight, visible, values, normalize):
    """Return sums of `values` times `weight(b, h, i, j)`; `normalize`: over theirs.

    A query that sees no key, or only keys of no weight at all, gets 0.
    """
    batch, heads, query_length, key_length = visible.shape
    outputs = np.zeros((batch, query_length, heads, values.shape[-1]), np.complex128)
    for b, h, i in np.ndindex(batch, heads, query_length):
        keys = [j for j in range(key_length) if visible[b, h, i, j]]
        found = [weight(b, h, i, j) for j in keys]
        for j, w in zip(keys, found, strict=True):
            outputs[b, i, h] += w * values[b, j, h]
        if normalize and sum(found) != 0:
            outputs[b, i, h] /= sum(found)
    return outputs


def finish(weights, outputs, scores=None):
    """Project the heads' outputs; drop the imaginary part if it is zero."""
    outputs = project_output(weights, outputs)
    if outputs.imag.any() or (scores is not None and scores.imag.any()):
        return outputs, scores
    return outputs.real, None if scores is None else scores.real
