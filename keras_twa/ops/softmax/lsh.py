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
from keras_twa.ops.segments import segment_bounds
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
# The square of a longer length exceeds an int32.
MOST_PACKED = 46_340


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
        mask: An `AttentionMask` without pairs, or `None`. In packed rows, the chunks of
            each segment begin at its first step.

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
    near = Near(1, 0)
    if mask.key_segments is not None:
        order, near = by_segment(order, mask.key_segments), Near(2, 1)
    passes = _Passes(size, near, SCORES_AT_ONCE)
    tensors = {
        "query": ops.reshape(query, (-1, query.shape[-1])),
        "pairs": ops.reshape(pairs, (-1, pairs.shape[-1])),
        "rounds": _rounds(order, length, size, mask, near),
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
    x, half = ops.stop_gradient(x), rotations.shape[-1]
    forward = ops.arange(0, half, dtype="int32")
    # One round after the other: the rotated vectors are the largest tensor.
    rounds = []
    for i in range(rotations.shape[0]):
        # b: batch, t: time, h: heads, d: width of a head, n: directions.
        along = ops.einsum("bthd,hdn->bhtn", x, rotations[i])
        highest = ops.max(ops.absolute(along), axis=-1, keepdims=True)
        # XLA computes `argmax` slowly on a CPU.
        backward = ops.where(ops.equal(-along, highest), forward + half, 2 * half - 1)
        bucket = ops.where(ops.equal(along, highest), forward, backward)
        rounds.append(ops.min(bucket, axis=-1))
    return ops.stack(rounds)


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
    return _stable_order(buckets, total)


def by_segment(order, segments):
    """The result of `sorted_steps`, with the steps of each segment together.

    Args:
        order: Int32 `(rounds, B, H, total)`.
        segments: Int32 `(B, T)`, which do not decrease along a row.
    """
    total = ops.shape(order)[-1]
    if isinstance(total, int) and total > MOST_PACKED:
        raise ValueError(
            f"LSH attention packs rows of at most {MOST_PACKED} steps. "
            f"Received: {total} steps"
        )
    of_place = _filled_segments(segments, total)
    row = ops.arange(0, ops.shape(order)[1], dtype="int32")[:, None, None] * total
    found = ops.take(ops.reshape(of_place, (-1,)), order + row, axis=0)
    return ops.take_along_axis(order, _stable_order(found, total), axis=-1)


def _stable_order(numbers, total):
    """The places of int32 `(..., total)`, sorted by number and then by place."""
    places = ops.arange(0, total, dtype="int32")
    # With XLA on a CPU, `argsort` takes much longer than sorting alone.
    return ops.mod(ops.sort(numbers * total + places, axis=-1), total)


def _filled_segments(segments, total):
    """Segments `(B, total)`: those that pad the last chunk are one more segment."""
    missing = total - ops.shape(segments)[1]
    if isinstance(missing, int) and not missing:
        return segments
    last = segments[:, -1:] + 1
    rest = ops.broadcast_to(last, (ops.shape(segments)[0], missing))
    return ops.concatenate([segments, rest], axis=1)


def _chunks_seen(segments, size, total):
    """The places that a step at each place of the sorted sequence sees.

    The segment of a place is that of the same step in the row, since segments keep
    their order. Its chunks begin at its first place.

    Returns:
        The first place that it sees, and the first after those, int32 `(B, total)`.
    """
    segments = _filled_segments(segments, total)
    place = ops.arange(0, total, dtype="int32")
    first, end = segment_bounds(segments + 1)
    chunk = (place - first) // size
    low = first + ops.maximum(chunk - 1, 0) * size
    return low, ops.minimum(first + (chunk + 1) * size, end)


def _rounds(order, length, size, mask, near):
    """The indices that the passes need for the chunks of each round.

    Steps are numbered in the order of batch, time and heads, and slots of the sorted
    sequences in the order of batch, heads and chunks.

    Returns:
        A dictionary of integers: the steps of chunks and the first positions that they
        do not see `(rounds, chunks, size)`; the steps and positions of their keys
        `(rounds, chunks, near.count * size)`; and the slot of each step
        `(rounds, steps)`. In packed rows, also the first "low" and the last "high"
        place that a step sees, and the "place" of its keys.
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
    found = {"step": place * heads + head, "end": end}
    keys = {"seen": found["step"], "position": position}
    if mask.key_segments is not None:
        places = ops.arange(0, total, dtype="int32")
        of_place = [*_chunks_seen(mask.key_segments, size, total), places[None]]
        found["low"], found["high"], keys["place"] = (
            ops.broadcast_to(x[:, None], ops.shape(order)) for x in of_place
        )
    slot = backend.inverse(ops.reshape(order, (-1, total)))
    slot = ops.reshape(slot, ops.shape(order))[..., :length]
    slot = ops.swapaxes(slot + (row * heads + head) * total, 2, 3)
    for name, x in keys.items():
        x = ops.reshape(x, (rounds, batch, heads, -1, size))
        found[name] = near.together(x, UNSEEN if name == "position" else 0)
    shapes = {name: near.count * size if name in keys else size for name in found}
    found = {
        name: ops.reshape(x, (rounds, -1, shapes[name])) for name, x in found.items()
    }
    return {**found, "slot": ops.reshape(slot, (rounds, -1))}


@dataclass(frozen=True)
class Near:
    """The chunks that a chunk sees: itself, some before it and some after it."""

    before: int
    after: int

    @property
    def count(self):
        """How many chunks a chunk sees."""
        return self.before + 1 + self.after

    def together(self, x, fill):
        """The chunks that each chunk sees, `(..., chunks, count * size)`.

        Args:
            x: `(..., chunks, size)`.
            fill: What stands in place of chunks before the first or after the last.
        """
        chunks = ops.shape(x)[-2]
        one = ops.full_like(x[..., :1, :], fill)
        x = ops.concatenate([*[one] * self.before, x, *[one] * self.after], axis=-2)
        parts = [x[..., i : i + chunks, :] for i in range(self.count)]
        return ops.concatenate(parts, axis=-1)

    def apart(self, x, size):
        """The sum over all chunks that see a chunk, `(chunks, size, D)`.

        Args:
            x: `(chunks, count * size, D)`. It is zero in place of chunks that are not
                there.
            size: Number of steps in a chunk.
        """
        total = x[:, self.before * size : (self.before + 1) * size]
        for i in range(self.count):
            part, shift = x[:, i * size : (i + 1) * size], self.before - i
            if shift > 0:
                none = ops.zeros_like(part[:shift])
                total = total + ops.concatenate([part[shift:], none], axis=0)
            if shift < 0:
                none = ops.zeros_like(part[shift:])
                total = total + ops.concatenate([none, part[:shift]], axis=0)
        return total


@dataclass(frozen=True)
class _Passes:
    """The forward and the backward pass; see `backend.differentiable`.

    They take queries `(steps, D)`, keys and values concatenated `(steps, D + E)`, and
    the result of `_rounds`. A sum of exponentials over all rounds is kept as the
    largest logarithm of any round, and the total divided by the exponential of that.
    """

    size: int
    near: Near
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
            seen = self.near.count * self.size
            in_pairs = ops.reshape(found["pairs"], (-1, seen, pairs.shape[-1]))
            in_pairs = self.near.apart(in_pairs, self.size)
            found = {"query": found["query"], "pairs": in_pairs}
            sums = {
                name: total + ops.take(_rows(found[name]), chosen["slot"], axis=0)
                for name, total in sums.items()
            }
            return sums, {}

        sums = {"query": ops.zeros_like(query), "pairs": ops.zeros_like(pairs)}
        sums, _ = backend.scan(add_round, sums, tensors["rounds"], {})
        return sums

    def logits(self, query, key, chunk):
        """The logits of some chunks `(g, size, near.count * size)`."""
        logits = backend.matmul(query, ops.swapaxes(key, 1, 2))
        position, end = chunk["position"][:, None], chunk["end"][..., None]
        hidden = ops.greater_equal(position, end)
        if "place" in chunk:
            place = chunk["place"][:, None]
            below = ops.less(place, chunk["low"][..., None])
            above = ops.greater_equal(place, chunk["high"][..., None])
            hidden = ops.logical_or(hidden, ops.logical_or(below, above))
        logits = ops.where(hidden, -math.inf, logits)
        own = ops.arange(0, self.size, dtype="int32") + self.near.before * self.size
        seen = ops.arange(0, self.near.count * self.size, dtype="int32")
        return logits + ops.where(ops.equal(own[:, None], seen), ALONE, 0.0)

    def each_group(self, body, chosen, results):
        """Runs `body` on a few chunks of a round at a time; see `backend.scan`."""
        names = (name for name in chosen if name != "slot")
        count = max(1, self.scores_at_once // (self.near.count * self.size**2))
        chunks = ops.shape(chosen["step"])[0]
        count = even_size(count, max(chunks, 1)) if isinstance(chunks, int) else count
        # The last group is padded with zeros: there, `end` is 0, which hides all keys.
        groups = {name: in_chunks(chosen[name][None], count)[:, 0] for name in names}
        return backend.scan(body, {}, groups, results)[1]


def _split(x, width):
    return x[..., :width], x[..., width:]


def _rows(x):
    return ops.reshape(x, (-1, x.shape[-1]))
