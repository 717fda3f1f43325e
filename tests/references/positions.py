"""Positions inside of attention: rotation, and biases of scores.

`positions` is `None`, a name, or a name and a dict of options.
"""

import math

import numpy as np


def named(positions):
    """Return the name of positions, or `None`, and their options."""
    return positions if isinstance(positions, tuple) else (positions, {})


def turned(x, moments, positions):
    """Return `(batch, time, heads, width)` with each pair of channels turned.

    As if two neighbouring channels were one complex number, without writing so: `x`
    itself may be complex.
    """
    name, options = named(positions)
    if name != "rotary":
        return x
    pairs = x.shape[-1] // 2
    growth = 1.0
    if options.get("original_length"):
        growth = 0.1 * math.log(options["scaling_factor"]) + 1
    outputs = x * growth
    for b, t, h, p in np.ndindex(*x.shape[:3], pairs):
        angle = moments[b, t] * rate(p, pairs, **options)
        left, right = x[b, t, h, 2 * p] * growth, x[b, t, h, 2 * p + 1] * growth
        outputs[b, t, h, 2 * p] = left * np.cos(angle) - right * np.sin(angle)
        outputs[b, t, h, 2 * p + 1] = left * np.sin(angle) + right * np.cos(angle)
    return outputs


def rate(pair, pairs, max_wavelength=10_000, scaling_factor=1.0, original_length=None):
    """Return the angle per unit of time of one pair of channels."""
    given = max_wavelength ** (-pair / pairs)
    if original_length is None:
        return given / scaling_factor
    turns = original_length / (2 * math.pi / given)
    kept = min(max((turns - 1) / (32 - 1), 0.0), 1.0)
    return (1 - kept) * given / scaling_factor + kept * given


def bias_of(weights, positions, q, moments):
    """Return the function of batch, head, query and key that is added to a logit."""
    name, options = named(positions)
    query_times, key_times = moments
    heads, width = q.shape[2:]

    def bias(b, h, i, j):
        ahead = key_times[b, j] - query_times[b, i]
        if name == "alibi":
            return -alibi_slopes(heads)[h] * abs(ahead)
        if name == "t5":
            return weights["positions/embeddings"][t5_bucket(ahead, **options), h]
        if name == "shaw":
            most = options.get("max_distance", 16)
            vector = weights["positions/embeddings"][
                int(min(max(math.floor(ahead), -most), most)) + most
            ]
            return (q[b, i, h] @ vector) / math.sqrt(width)
        return 0.0

    return bias


def alibi_slopes(heads):
    """Return the slopes of the paper's code."""

    def of_power_of_two(n):
        start = 2 ** -(2 ** -(math.log2(n) - 3))
        return [start * start**i for i in range(n)]

    if math.log2(heads).is_integer():
        return of_power_of_two(heads)
    closest = 2 ** math.floor(math.log2(heads))
    return [
        *of_power_of_two(closest),
        *alibi_slopes(2 * closest)[0::2][: heads - closest],
    ]


def t5_bucket(ahead, num_buckets=32, max_distance=128, bidirectional=True):
    """Return the bucket of a key so far ahead of its query, as T5's code has it."""
    first = 0
    if bidirectional:
        num_buckets //= 2
        first = num_buckets if ahead > 0 else 0
        distance = abs(ahead)
    else:
        distance = -min(ahead, 0)
    exact = num_buckets // 2
    if distance < exact:
        return first + math.floor(distance)
    # A logarithm that is a whole number should not fall below it.
    share = math.log(distance / exact) / math.log(max_distance / exact) + 1e-9
    wide = exact + math.floor(share * (num_buckets - exact))
    return first + min(wide, num_buckets - 1)
