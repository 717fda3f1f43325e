"""Attention within buckets of locality-sensitive hashing, in memory linear in length.

Each round hashes the steps, sorts them by bucket, and cuts the sorted sequence into
chunks; a step sees its own chunk and the one before. Rounds run one after the other,
each with a few chunks at a time, so that few scores are held. The backward pass
recomputes them.
"""

import math
from dataclasses import dataclass

from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.splitting import even_size
from keras_twa.ops.splitting import in_chunks
from keras_twa.ops.unit import unit

# Number of scores held at once, 2 MB: little memory, and still large matrix products.
SCORES_AT_ONCE = 2**19
# The logit of a step with itself. Below any other, so that its weight is exactly zero
# where there is another; and above that of a hidden key.
ALONE = -1e30
# The position of a key that no query sees.
UNSEEN = 2**30


@takes_empty(queries=(), keys=("query", "value"))
def lsh_attention(query, value, rotations, bucket_size, mask=None):
    """Computes `softmax(q . k / sqrt(D)) v` over keys whose hashes are alike.

    Keys are the queries, scaled to length 1: `k = q / |q|`. A query sees its own key
    only if it sees no other. A key seen in several rounds counts once in each.

    Args:
        query: `(B, T, H, D)`, finite wherever `mask` hides a step as query and key.
        value: `(B, T, H, E)`, finite wherever `mask` hides a key.
        rotations: The random directions of each round of hashing, float32
            `(rounds, H, D, buckets / 2)`. They get no gradient.
        bucket_size: Number of steps in a chunk of the sorted sequence.
        mask: An `AttentionMask` without pairs, or `None`.

    Returns:
        `(B, T, H, E)` in the dtype of `value`.
    """
    mask = AttentionMask() if mask is None else mask
    batch, length, heads, width = ops.shape(value)
    size = min(bucket_size, length) if isinstance(length, int) else bucket_size
    query = ops.cast(query, "float32")
    key = unit(query) * float(query.shape[-1]) ** -0.5
    pairs = ops.concatenate([key, ops.cast(value, "float32")], axis=-1)
    buckets = hash_buckets(query, rotations)
    order = sorted_steps(buckets, 2 * rotations.shape[-1], mask.keys, size)
    passes = _Passes(size, SCORES_AT_ONCE)
    tensors = {
        "query": ops.reshape(query, (-1, query.shape[-1])),
        "pairs": ops.reshape(pairs, (-1, pairs.shape[-1])),
        "rounds": _rounds(order, length, size, mask),
    }
    output = backend.differentiable(passes, tensors)["output"]
    output = ops.reshape(output, (batch, length, heads, width))
    return hide_padding(ops.cast(output, value.dtype), mask.queries)


def hash_buckets(x, rotations):
    """`argmax [x R; -x R]`: similar directions are likely to get the same bucket.

    Args:
        x: Float32 `(B, T, H, D)`.
        rotations: Float32 `(rounds, H, D, buckets / 2)`.

    Returns:
        Int32 `(rounds, B, H, T)`.
    """
    directions = ops.concatenate([rotations, -rotations], axis=-1)
    x = ops.stop_gradient(x)
    # One round after the other: the rotated vectors are the largest tensor.
    # b: batch, t: time, h: heads, d: width of a head, n: buckets.
    rounds = [
        ops.argmax(ops.einsum("bthd,hdn->bhtn", x, directions[i]), axis=-1)
        for i in range(rotations.shape[0])
    ]
    return ops.cast(ops.stack(rounds), "int32")


def sorted_steps(buckets, num_buckets, is_key, size):
    """The steps sorted by bucket and position.

    Hidden keys, and the padding of the last chunk, come last. So their number does not
    change the places of the others.

    Args:
        buckets: Int32 `(rounds, B, H, T)`.
        num_buckets: How many buckets there are.
        is_key: Boolean `(B, T)`, or `None` for all.
        size: Number of steps in a chunk.

    Returns:
        Int32 `(rounds, B, H, T rounded up)`.
    """
    *rows, length = ops.shape(buckets)
    if is_key is not None:
        buckets = ops.where(is_key[None, :, None], buckets, num_buckets)
    missing = -length % size
    if not isinstance(missing, int) or missing:
        rest = ops.full((*rows, missing), num_buckets, "int32")
        buckets = ops.concatenate([buckets, rest], axis=-1)
    total = length + missing
    # No two of these are equal, so that any sort is stable.
    return ops.argsort(buckets * total + ops.arange(0, total, dtype="int32"), axis=-1)


def _rounds(order, length, size, mask):
    """The indices that the passes need for the chunks of each round.

    Steps are numbered in the order of batch, time and heads, and slots of the sorted
    sequences in the order of batch, heads and chunks.

    Returns:
        A dictionary of integers: the steps of chunks and the first positions that they
        do not see `(rounds, chunks, size)`; the steps and positions of their keys
        `(rounds, chunks, 2 size)`; and the slot of each step `(rounds, steps)`.
    """
    rounds, batch, heads, total = ops.shape(order)
    row = ops.arange(0, batch, dtype="int32")[:, None, None]
    head = ops.arange(0, heads, dtype="int32")[:, None]
    place = row * length + ops.minimum(order, length - 1)
    is_step = ops.less(order, length)
    is_key = is_step
    if mask.keys is not None:
        real = ops.take(ops.reshape(mask.keys, (-1,)), place, axis=0)
        is_key = ops.logical_and(is_key, real)
    position = ops.where(is_key, order, UNSEEN)
    # The padding of the last chunk sees no key, and no query sees it.
    end = ops.where(is_step, order + 1 if mask.causal else UNSEEN, 0)
    step, end, position = (
        ops.reshape(x, (rounds, batch, heads, -1, size))
        for x in (place * heads + head, end, position)
    )
    slot = ops.argsort(order, axis=-1)[..., :length]
    slot = ops.swapaxes(slot + (row * heads + head) * total, 2, 3)
    seen, position = _with_previous(step, 0), _with_previous(position, UNSEEN)
    return {
        "step": ops.reshape(step, (rounds, -1, size)),
        "end": ops.reshape(end, (rounds, -1, size)),
        "seen": ops.reshape(seen, (rounds, -1, 2 * size)),
        "position": ops.reshape(position, (rounds, -1, 2 * size)),
        "slot": ops.reshape(slot, (rounds, -1)),
    }


def _with_previous(x, fill):
    """Puts the previous chunk before each chunk, `(..., chunks, 2 size)`."""
    before = ops.concatenate(
        [ops.full_like(x[..., :1, :], fill), x[..., :-1, :]], axis=-2
    )
    return ops.concatenate([before, x], axis=-1)


@dataclass(frozen=True)
class _Passes:
    """The forward and the backward pass; see `backend.differentiable`.

    They take queries `(steps, D)`, keys and values concatenated `(steps, D + E)`, and
    the result of `_rounds`. A sum of exponentials over all rounds is kept as the
    largest logarithm of any round, and the total divided by the exponential of that.
    """

    size: int
    scores_at_once: int

    def forward(self, tensors):
        """The "output", and the "highest" logarithm and "total" of its weights."""
        query, pairs = tensors["query"], tensors["pairs"]
        dim = query.shape[-1]

        def attend(carry, chunk, _):
            key, value = _split(ops.take(pairs, chunk["seen"], axis=0), dim)
            logits = self.logits(ops.take(query, chunk["step"], axis=0), key, chunk)
            weights, total, log_total = backend.softmax(logits, -1)
            output = backend.matmul(weights, value) / total
            return carry, ops.concatenate([output, log_total], axis=-1)

        def add_round(sums, chosen, _):
            found = self.each_group(attend, chosen, None)
            found = ops.take(_rows(found), chosen["slot"], axis=0)
            output, log_total = _split(found, found.shape[-1] - 1)
            highest = ops.maximum(sums["highest"], log_total)
            before = ops.exp(sums["highest"] - highest)
            now = ops.exp(log_total - highest)
            sums = {
                "output": sums["output"] * before + output * now,
                "highest": highest,
                "total": sums["total"] * before + now,
            }
            return sums, {}

        nothing = ops.zeros_like(query[:, :1])
        sums = {
            "output": ops.zeros_like(pairs[:, dim:]),
            "highest": nothing - math.inf,
            "total": nothing,
        }
        sums, _ = backend.scan(add_round, sums, tensors["rounds"], {})
        return {**sums, "output": sums["output"] / sums["total"]}

    def backward(self, tensors, outputs, gradients, needed):
        """The gradients of queries, and of keys and values."""
        query, pairs = tensors["query"], tensors["pairs"]
        dim = query.shape[-1]
        gradient = gradients["output"] / outputs["total"]
        mean = ops.sum(gradient * outputs["output"], axis=-1, keepdims=True)
        # Concatenated, so that one gather reads all of them.
        asked = [query, gradient, mean, outputs["highest"]]
        asked = ops.concatenate(asked, axis=-1)

        def pull(carry, chunk, _):
            key, value = _split(ops.take(pairs, chunk["seen"], axis=0), dim)
            query, rest = _split(ops.take(asked, chunk["step"], axis=0), dim)
            gradient, rest = _split(rest, rest.shape[-1] - 2)
            mean, highest = _split(rest, 1)
            logits = self.logits(query, key, chunk)
            weights = backend.exp_difference(logits, highest)
            in_value = backend.matmul(ops.swapaxes(weights, 1, 2), gradient)
            in_weights = backend.matmul(gradient, ops.swapaxes(value, 1, 2))
            in_logits = backend.softmax_gradient(weights, in_weights, mean)
            in_query = backend.matmul(in_logits, key)
            in_key = backend.matmul(ops.swapaxes(in_logits, 1, 2), query)
            in_pairs = ops.concatenate([in_key, in_value], axis=-1)
            return carry, {"query": in_query, "pairs": in_pairs}

        def add_round(sums, chosen, _):
            found = self.each_group(pull, chosen, {"query": None, "pairs": None})
            in_pairs = ops.reshape(found["pairs"], (-1, 2 * self.size, pairs.shape[-1]))
            # The chunk itself and the next one see the keys of a chunk.
            later = in_pairs[1:, : self.size]
            later = ops.concatenate([later, ops.zeros_like(in_pairs[:1, self.size :])])
            found = {"query": found["query"], "pairs": in_pairs[:, self.size :] + later}
            sums = {
                name: total + ops.take(_rows(found[name]), chosen["slot"], axis=0)
                for name, total in sums.items()
            }
            return sums, {}

        sums = {"query": ops.zeros_like(query), "pairs": ops.zeros_like(pairs)}
        sums, _ = backend.scan(add_round, sums, tensors["rounds"], {})
        return sums

    def logits(self, query, key, chunk):
        """The logits of some chunks `(g, size, 2 size)`."""
        logits = backend.matmul(query, ops.swapaxes(key, 1, 2))
        position, end = chunk["position"][:, None], chunk["end"][..., None]
        logits = ops.where(ops.greater_equal(position, end), -math.inf, logits)
        return logits + ALONE * ops.eye(self.size, 2 * self.size, self.size)

    def each_group(self, body, chosen, results):
        """Runs `body` on a few chunks of a round at a time; see `backend.scan`."""
        names = ("step", "end", "seen", "position")
        count = max(1, self.scores_at_once // (2 * self.size**2))
        chunks = ops.shape(chosen["step"])[0]
        count = even_size(count, max(chunks, 1)) if isinstance(chunks, int) else count
        # The last group is padded with zeros: there, `end` is 0, which hides all keys.
        groups = {name: in_chunks(chosen[name][None], count)[:, 0] for name in names}
        return backend.scan(body, {}, groups, results)[1]


def _split(x, width):
    return x[..., :width], x[..., width:]


def _rows(x):
    return ops.reshape(x, (-1, x.shape[-1]))
