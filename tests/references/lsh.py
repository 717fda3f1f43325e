"""Attention within the buckets of locality-sensitive hashing."""

import math

import numpy as np

from tests.references.parts import finish
from tests.references.parts import project
from tests.references.parts import visible_pairs


def lsh(weights, query, value, key=None, *, bucket_size=64, **call):
    """Return softmax(q.k / sqrt(D)) v, with k = q / |q|, over the keys near in a sort.

    Each round sorts the steps by bucket, padding last, and cuts the sorted sequence
    into chunks. A step sees the keys of its own chunk and of the one before, counted
    once for each round in which it sees them; itself only where it sees no other.
    """
    del value, key
    for name in ("query_positions", "key_positions"):
        call.pop(name, None)
    x, v = project(weights, "query", query), project(weights, "value", query)
    k = x / np.sqrt((x * x).sum(axis=-1, keepdims=True) + 1e-6)
    batch, length, heads, dim = x.shape
    visible = visible_pairs(batch, heads, length, length, **call)
    outputs = np.zeros_like(v, np.complex128)
    for b, h in np.ndindex(batch, heads):
        is_key = _keys(b, length, **call)
        chunks = [
            _chunks(_buckets(x[b, :, h], rotation), is_key, bucket_size)
            for rotation in weights["rotations"][:, h]
        ]
        for i in range(length):
            seen = [
                j
                for chunk in chunks
                for j in range(length)
                if visible[b, h, i, j] and chunk[i] - chunk[j] in (0, 1)
            ]
            seen = [j for j in seen if j != i] or seen[:1]
            if not seen:
                continue
            logits = np.array([x[b, i, h] @ k[b, j, h] for j in seen]) / math.sqrt(dim)
            exponentials = np.exp(logits - logits.real.max())
            for j, exponential in zip(seen, exponentials, strict=True):
                outputs[b, i, h] += exponential / exponentials.sum() * v[b, j, h]
    return finish(weights, outputs)


def _keys(b, length, value_mask=None, key_mask=None, **others):
    """Return which steps of a sequence are real as keys."""
    masks = [mask[b] for mask in (value_mask, key_mask) if mask is not None]
    return [all(mask[j] for mask in masks) for j in range(length)]


def _buckets(x, rotation):
    """Return argmax [x R; -x R] for each step."""
    rotated = np.real(x @ rotation)
    return [int(np.argmax([*row, *-row])) for row in rotated]


def _chunks(buckets, is_key, size):
    """Return in which chunk of the sorted sequence each step is."""
    # Python's sort is stable. What is no key shares one bucket, the last.
    order = sorted(
        range(len(buckets)), key=lambda i: buckets[i] if is_key[i] else math.inf
    )
    return {step: place // size for place, step in enumerate(order)}
