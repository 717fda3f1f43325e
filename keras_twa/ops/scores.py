"""What scores are made of: every pair of a query and a key, in float32.

All functions take tiles, `(..., t, D)` of queries against `(..., S, D)` of keys
or `(..., t)` against `(..., S)`, and return `(..., t, S)`.
"""

from keras import ops


def inner_product(query, key):
    """`q . k` for every pair."""
    query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
    return ops.matmul(query, ops.swapaxes(key, -1, -2))


def squared_distance(query, key):
    """`|q - k|^2` for every pair, never negative.

    Expanded to `|q|^2 + |k|^2 - 2 q.k`, so that the work is one matrix product
    and no `(t, S, D)` tensor exists; rounding could make it slightly negative
    for coincident points, hence the floor.
    """
    query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
    query_norm = ops.sum(ops.square(query), axis=-1, keepdims=True)
    key_norm = ops.expand_dims(ops.sum(ops.square(key), axis=-1), axis=-2)
    return ops.relu(query_norm + key_norm - 2.0 * inner_product(query, key))


def lag(query_positions, key_positions):
    """`t_i - t_j` for every pair."""
    return ops.subtract(
        ops.expand_dims(query_positions, axis=-1),
        ops.expand_dims(key_positions, axis=-2),
    )


def log_softplus(x):
    """`log(log(1 + e^x))`, also where `e^x` is too small for a float32."""
    x = ops.cast(x, "float32")
    # Below -15 the softplus is e^x to the last digit, and its log is x.
    safe = ops.log(ops.softplus(ops.maximum(x, -15.0)))
    return ops.where(ops.greater(x, -15.0), safe, x)


def force(query, key, log_query_mass, log_key_mass, exponent, softening, log=False):
    """`m_q m_k / (|q - k|^2 + softening^2)^(exponent / 2)` for every pair.

    Args:
        query: `(..., t, D)`.
        key: `(..., S, D)`.
        log_query_mass: `(..., t, 1)`; a constant of gravity is added here.
        log_key_mass: `(..., S, 1)`.
        exponent: Power of the distance, a Python number.
        softening: Distance added in quadrature, a Python number.
        log: Return the logarithm, which neither overflows nor underflows.
    """
    distance = squared_distance(query, key) + softening**2
    log_key_mass = ops.swapaxes(log_key_mass, -1, -2)
    if log:
        fall = ops.log(distance) * (-0.5 * exponent)
        return log_query_mass + log_key_mass + fall
    # Masses are one per token: only this product and quotient are per pair.
    masses = ops.multiply(ops.exp(log_query_mass), ops.exp(log_key_mass))
    if exponent != 2:
        distance = ops.exp(ops.multiply(ops.log(distance), 0.5 * exponent))
    return ops.divide(masses, distance)
