"""Reformer's attention: locality-sensitive hashing selects the keys to score."""

import random
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import Projection
from keras_twa.ops import lsh_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class LSHAttention(PairAttention):
    """Multi-head attention among steps with similar hashes.

    Per head, `softmax(q_i . k_j / sqrt(D)) v_j` with `k = q / |q|`, that is, one
    projection for queries and keys, over the keys that any round of hashing puts near
    `q_i`. In each of `num_hashes` rounds, a step falls into bucket
    `argmax [q R; -q R]`, with random directions `R`. The steps are sorted by bucket and
    position and cut into chunks; a step sees its own chunk and the one before. Rounds
    are merged by the sums of their exponentials: a key seen in several rounds counts
    once in each. A step sees itself only if it sees no other.

    As in the paper, a causal call is not strictly causal: later steps affect which
    earlier steps share a chunk. Their values do not reach earlier steps, but there are
    no states to continue from, so a call needs the whole sequence. Unlike in the paper,
    the first chunk of every round sees no chunk before it, and the number of buckets
    does not depend on the length. So padding, which is sorted last, changes nothing
    wherever it is.

    The directions are drawn once, by `seed`, and saved with the weights.

    Cost: O(N T (C + M) D + N T log T) time with N rounds of M buckets and chunks of C
    steps, O((N + M + D) T) memory.

    Args:
        num_hashes: Number of rounds. With more rounds, fewer keys are missed. Defaults
            to 4.
        bucket_size: Number of steps in a chunk of the sorted sequence. In a sequence of
            at most this length, all keys are seen. Defaults to 64.
        num_buckets: Number of buckets per round, even. The length divided by
            `bucket_size` gives about one bucket per chunk. Defaults to 64.
        seed: Seed of the directions. Defaults to a random seed, which
            `keras.utils.set_random_seed` makes reproducible.

    Call arguments:
        attention_mask: Must be `None`: most pairs have no scores to mask.

    Returns:
        `(B, T, output_shape)`.

    Raises:
        ValueError: If a size is not positive, the number of buckets is odd, a shape
            does not fit, attention scores are to be masked, dropped or returned, or a
            state is requested.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import LSHAttention
    >>> layer = LSHAttention(num_heads=2, key_dim=8, bucket_size=4, num_buckets=6)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x, use_causal_mask=True).shape)
    (4, 10, 16)
    >>> tuple(layer.rotations.shape)
    (4, 2, 8, 3)

    Reference:
        [Kitaev et al., 2020](https://arxiv.org/abs/2001.04451)
    """

    cross_attention = False
    pairwise_mask = False
    prefix_invariant = False
    linear_time = True
    packs = True
    search_space: ClassVar[dict] = {"num_hashes": (4, 2, 8), "bucket_size": (64, 16)}
    small_options: ClassVar[dict] = {"num_buckets": 8, "bucket_size": 8}

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        num_hashes=4,
        bucket_size=64,
        num_buckets=64,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_integer(num_hashes=num_hashes, bucket_size=bucket_size)
        checks.positive_even_integer(num_buckets=num_buckets)
        self.num_hashes = num_hashes
        self.bucket_size = bucket_size
        self.num_buckets = num_buckets

    def projections(self):
        return (
            Projection("query", "step", self.num_heads, self.key_dim),
            Projection("value", "value", self.num_heads, self.value_dim),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        seed = random.randint(1, 10**9) if self.seed is None else self.seed
        shape = (self.num_hashes, self.num_heads, self.key_dim, self.num_buckets // 2)
        rotations = np.random.default_rng(seed).normal(size=shape)
        self.rotations = self.add_weight(
            shape=shape,
            initializer=keras.initializers.Constant(rotations.astype("float32")),
            trainable=False,
            autocast=False,
            dtype="float32",
            name="rotations",
        )

    def remember(self, inputs, mask, state):
        # One projection gives both the query and the key of a step, which is real if it
        # is real as either.
        step = inputs["key"]
        if mask.keys is not None:
            step = ops.where(mask.keys[:, :, None], step, inputs["query"])
        return {**inputs, "step": step}, {}

    def attend(self, call):
        return lsh_attention(
            call["query"],
            call["value"],
            ops.convert_to_tensor(self.rotations),
            self.bucket_size,
            call.mask,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_hashes": self.num_hashes,
            "bucket_size": self.bucket_size,
            "num_buckets": self.num_buckets,
        }
