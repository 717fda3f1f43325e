"""Attention within buckets of hashing: what it promises where it sees few keys."""

from unittest import mock

import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.masks import AttentionMask
from keras_twa.ops import lsh_attention
from keras_twa.ops.softmax import lsh
from keras_twa.testing import harness
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal

BATCH, LENGTH, HEADS, WIDTH = 2, 9, 2, 4


def rotations(rounds=3, buckets=4, seed=5):
    """Return random directions."""
    return normal(rounds, HEADS, WIDTH, buckets // 2, seed=seed)


def attended(query, value, size, mask=None, directions=None):
    """Return the output as NumPy."""
    directions = rotations() if directions is None else directions
    arrays = [ops.convert_to_tensor(x) for x in (query, value, directions)]
    return harness.to_numpy(lsh_attention(*arrays, size, mask))


def full_attention(query, value, causal):
    """Return attention to the keys `q / |q|` of all others; of none, to oneself."""
    key = query / np.linalg.norm(query, axis=-1, keepdims=True)
    logits = np.einsum("bihd,bjhd->bhij", query, key) / np.sqrt(WIDTH)
    seen = ~np.eye(query.shape[1], dtype=bool)
    seen = np.tril(seen) if causal else seen
    seen[0, 0] |= not seen[0].any()
    logits = np.where(seen, logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bhij,bjhe->bihe", weights, value)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("length", [1, LENGTH])
def test_one_chunk_is_full_attention(length, rounds, causal):
    query = normal(BATCH, length, HEADS, WIDTH, seed=1)
    value = normal(BATCH, length, HEADS, 3, seed=2)
    mask, directions = AttentionMask(causal), rotations(rounds)
    for size in (length, length + 5):
        output = attended(query, value, size, mask, directions)
        want = full_attention(query, value, causal)
        harness.assert_close(output, want, "output", 1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_weights_sum_to_one(size, causal):
    query = normal(BATCH, LENGTH, HEADS, WIDTH, seed=1)
    keys = ops.convert_to_tensor(lengths_mask([LENGTH, 4], LENGTH))
    mask = AttentionMask(causal, keys, keys)
    output = attended(query, np.ones_like(query), size, mask)
    real = harness.to_numpy(keys)
    harness.assert_close(output[real], 1.0, "sums of weights", 1e-6)
    assert not output[~real].any()


def test_a_step_alone_gives_its_own_value():
    # Every chunk is one step, and what is before it is to come.
    query = normal(BATCH, LENGTH, HEADS, WIDTH, seed=1)
    value = normal(BATCH, LENGTH, HEADS, WIDTH, seed=2)
    directions = np.zeros((3, HEADS, WIDTH, 1), "float32")
    mask = AttentionMask(True)
    output = attended(query, value, 1, mask, directions)
    harness.assert_close(output[:, 0], value[:, 0], "the first step", 1e-6)
    # In one bucket, the step before is all that is seen.
    harness.assert_close(output[:, 1:], value[:, :-1], "the others", 1e-6)


def test_finds_what_is_alike():
    """Where one key has all of the weight, rounds enough find it."""
    length, size = 128, 8
    query = normal(1, length, HEADS, WIDTH, seed=1)
    query[:, length // 2 :] = query[:, : length // 2]
    query *= 5000.0 / np.linalg.norm(query, axis=-1, keepdims=True)
    value = normal(1, length, HEADS, WIDTH, seed=2)
    want = full_attention(query.astype("float64"), value, causal=False)

    def missed(rounds):
        directions = rotations(rounds, 64)
        output = attended(query, value, size, directions=directions)
        return (np.abs(output - want).max(axis=-1) > 0.05).mean()

    assert missed(16) < 0.02 < missed(1)


@pytest.mark.parametrize("scores_at_once", [1, 24, 40])
def test_groups_of_chunks_agree(scores_at_once):
    query = normal(BATCH, LENGTH, HEADS, WIDTH, seed=1)
    value = normal(BATCH, LENGTH, HEADS, 3, seed=2)
    want = attended(query, value, 2)
    with mock.patch.object(lsh, "SCORES_AT_ONCE", scores_at_once):
        harness.assert_close(attended(query, value, 2), want, "output", 1e-6)


def test_layers_of_one_seed_hash_alike():
    x = normal(BATCH, LENGTH, 6)
    options = {"num_heads": 2, "key_dim": 4, "bucket_size": 2, "num_buckets": 6}
    first, second, third = (
        layers.LSHAttention(**options, seed=seed) for seed in (3, 3, 4)
    )
    output = harness.to_numpy(first(x))
    for other in (second, third):
        other.build(x.shape)
        directions = np.array(harness.to_numpy(other.rotations))
        harness.copy_weights(first, other)
        other.rotations.assign(directions)
    again = (harness.to_numpy(layer(x)) for layer in (first, second))
    for repeated in again:
        np.testing.assert_array_equal(repeated, output)
    assert np.abs(harness.to_numpy(third(x)) - output).max() > 1e-3


@pytest.mark.parametrize("num_buckets", [0, 3, 2.0])
def test_refuses_buckets_without_a_mirror(num_buckets):
    with pytest.raises(ValueError, match="Received: num_buckets="):
        layers.LSHAttention(2, 4, num_buckets=num_buckets)
