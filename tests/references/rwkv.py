"""The time mixing of RWKV, versions 4 and 7."""

import numpy as np

from tests.references.convolution import convolved
from tests.references.numbers import sigmoid
from tests.references.parts import finish
from tests.references.parts import hidden
from tests.references.parts import project


def rwkv(
    weights,
    query,
    value,
    key=None,
    *,
    version=4,
    epsilon=64e-5,
    query_mask=None,
    value_mask=None,
    key_mask=None,
    **call,
):
    """Return the time mixing; times and a causal mask change nothing."""
    real = np.ones(value.shape[:2], bool)
    for mask in (value_mask, key_mask):
        real &= True if mask is None else np.asarray(mask)
    shifted = {
        name.removesuffix("_shift"): shift_tokens(value, real, weights[name])
        for name in weights
        if name.endswith("_shift")
    }
    asked = hidden(value, query_mask) - value
    shifted["query"] = shifted["query"] + weights["query_shift"] * asked
    names = ("query", "key", "value")
    heads = [project(weights, name, shifted[name]) for name in names]
    heads = dict(zip(names, convolved(weights, *heads, real), strict=True))
    if version == 4:
        outputs = version_4(weights, heads, real)
    else:
        for name in ("decay", "rate", "gate"):
            heads[name] = low_rank(weights, name, shifted[name])
        outputs = version_7(weights, heads, real, epsilon)
    if query_mask is not None:
        outputs[~np.asarray(query_mask)] = 0.0
    return finish(weights, outputs)


def shift_tokens(x, real, share):
    """Return `share` of each input and the rest of the last real one before it."""
    found = np.zeros(x.shape, np.complex128)
    for b in range(x.shape[0]):
        last = np.zeros(x.shape[-1])
        for i in range(x.shape[1]):
            found[b, i] = share * x[b, i] + (1 - share) * last
            last = x[b, i] if real[b, i] else last
    return found


def each(function, x):
    """Apply a function of one number to all."""
    return np.vectorize(function, otypes=[np.complex128])(x)


def version_4(weights, heads, real):
    """Return sigmoid(r) sum_j e^(k_j - (n_j - 1) w) v_j / the same without v."""
    gate, k, v = each(sigmoid, heads["query"]), heads["key"], heads["value"]
    outputs = np.zeros(v.shape, np.complex128)
    for b, i, h, d in np.ndindex(v.shape):
        decay, bonus = np.exp(weights["decay"][h, d]), weights["bonus"][h, d]
        keys = [j for j in range(i + 1) if real[b, j]]
        logits = []
        for j in keys:
            between = sum(real[b, j + 1 : i])
            logits.append(k[b, j, h, d] + (bonus if j == i else -between * decay))
        if keys:
            exponentials = np.exp(np.array(logits) - np.real(logits).max())
            mean = exponentials @ v[b, keys, h, d] / exponentials.sum()
            outputs[b, i, h, d] = gate[b, i, h, d] * mean
    return outputs


def low_rank(weights, name, x):
    """Return `bias + activation(x down) up`."""
    activation = {"decay": np.tanh, "rate": lambda x: x, "gate": sigmoid}[name]
    inside = each(activation, x @ weights[f"{name}/down/kernel"])
    outputs = np.einsum("btr,rhd->bthd", inside, weights[f"{name}/up/kernel"])
    return outputs + weights.get(f"{name}/bias", 0.0)


def version_7(weights, heads, real, epsilon):
    """Return what the memory answers, normalised, with the bonus, and gated."""
    batch, length, num_heads, width = heads["value"].shape
    outputs = np.zeros(heads["value"].shape, np.complex128)
    for b, h in np.ndindex(batch, num_heads):
        memory = np.zeros((heads["key"].shape[-1], width), np.complex128)
        for i in range(length):
            q, k, v = (heads[name][b, i, h] for name in ("query", "key", "value"))
            decay = np.exp(-np.exp(-0.5) * each(sigmoid, heads["decay"][b, i, h]))
            rate = each(sigmoid, heads["rate"][b, i, h])
            removal = k * weights["removal_scale"][h]
            removal = removal / np.sqrt((removal**2).sum() + 1e-12)
            k = k * (1 + (rate - 1) * weights["rate_share"][h])
            if real[b, i]:
                move = np.diag(decay) - np.outer(rate * removal, removal)
                memory = move @ memory + np.outer(k, v)
            found = q @ memory
            found = found - found.mean()
            found = found / np.sqrt((found**2).mean() + epsilon)
            found = found * weights["gamma"][h] + weights["beta"][h]
            if real[b, i]:
                found = found + (q * k) @ weights["bonus"][h] * v
            outputs[b, i, h] = found * heads["gate"][b, i, h]
    return outputs
