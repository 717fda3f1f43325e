"""Block-recurrent attention: to nearby steps, and to state vectors.

A sequence is cut into blocks of steps. Within a block, all is softmax attention. Each
block passes on the state vectors, and the keys and values in the window of the next
block. Only real steps count: those of each row are first moved together, so that
padding belongs to no block.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import both
from keras_twa.masks import hide_padding
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.gather import steps_at
from keras_twa.ops.packing import Packing
from keras_twa.ops.recurrent import packed_blocks
from keras_twa.ops.recurrent.chunks import run_in_chunks
from keras_twa.ops.recurrent.state_vectors import HIDDEN
from keras_twa.ops.recurrent.state_vectors import attend
from keras_twa.ops.recurrent.state_vectors import gated
from keras_twa.ops.recurrent.state_vectors import read


@takes_empty(queries=("query", "state_query"), rows=("state",))
def block_recurrent_attention(
    query, state_query, key, value, block_size, weights, gate, mask=None, state=None
):
    """Attends to the window of a step, and to the state vectors before its block.

    Args:
        query: Queries for steps `(B, T, H, D)`.
        state_query: Queries for state vectors, likewise.
        key: `(B, T, H, D)`, finite wherever `mask` hides a key.
        value: `(B, T, H, E)`, finite likewise.
        block_size: Number of steps in a block, and in the window.
        weights: Dictionary of float32 tensors. With N state vectors of width M:
            "lag_bias" `(block_size, H)`, added to the logits of each lag; "initial" and
            "ids" `(N, M)`; "query_kernel", "step_query_kernel" and "key_kernel"
            `(M, H, D)`; "value_kernel" `(M, H, E)`; and the tensors of the gate, see
            `state_vectors.gated`.
        gate: "fixed" or "lstm".
        mask: An `AttentionMask` without pairs; attention is always causal.
        state: Dictionary of the state after the earlier steps, or `None`: the number
            of real steps, "count" `(B,)`; the "states" `(B, N, M)`; the "key" and
            "value" of the last complete block, followed by those of the incomplete
            block, `(B, 2 block_size - 1, H, width)`.

    Returns:
        The outputs over the window and over the state vectors, concatenated,
        `(B, T, H, 2 E)`; and the next state, or `None` if no state was given.
    """
    mask = AttentionMask() if mask is None else mask
    dtype, length = value.dtype, ops.shape(value)[1]
    steps = {"query": query, "state_query": state_query, "key": key, "value": value}
    steps = {name: ops.cast(x, "float32") for name, x in steps.items()}
    weights = {name: ops.cast(x, "float32") for name, x in weights.items()}
    real, packing = mask.keys, None
    slots = block_size
    if state is not None:
        steps, real = _behind_open_block(steps, real, state, block_size)
    elif isinstance(length, int):
        slots = min(block_size, length)
    begin = _beginning(steps, weights, block_size, slots, state)
    if real is None:
        filled = ops.ones(ops.shape(steps["key"])[:2])
    else:
        packing = Packing.of(real)
        filled = ops.cast(packing.filled, "float32")
        steps = {name: packing.pack(x) for name, x in steps.items()}
    weights = {**weights, "lag_bias": _bias_of_slots(weights["lag_bias"], slots)}
    advance: Any = Advance(tuple(weights), gate, slots, slots == block_size)
    constants = {"real": filled[:, :, None]}
    if mask.key_segments is not None:
        run = mask.key_segments if packing is None else packing.pack(mask.key_segments)
        constants |= packed_blocks.constants(run, filled, block_size)
        advance = packed_blocks.Advance(tuple(weights), gate, slots)
        begin[-1] = ops.zeros((ops.shape(run)[0], slots, 1))
    output, end = run_in_chunks(
        advance, begin, steps, constants, tuple(weights.values()), chunk=slots
    )
    if packing is not None:
        output = packing.unpack(output)
        output = output[:, ops.shape(output)[1] - length :]
    output = hide_padding(ops.cast(output, dtype), both(mask.keys, mask.queries))
    if state is not None:
        state = _next_state(state, end, steps, filled, block_size)
    return output, state


@dataclass(frozen=True)
class Advance:
    """One block; see `run_in_chunks`.

    Its state: the state vectors `(B, N, M)`, the keys and values of the previous block,
    and whether there was one `(B, 1, 1, 1)`.

    Args:
        names: Names of the parameters.
        gate: "fixed" or "lstm".
        slots: Number of steps in a block.
        recurrent: Whether more blocks may follow. If not, the state does not change.
    """

    names: tuple[str, ...]
    gate: str
    slots: int
    recurrent: bool

    def __call__(self, state, steps, *parameters):
        states, key_before, value_before, seen = state
        weights = dict(zip(self.names, parameters, strict=True))
        of_states = read(states, weights)
        key, value = steps["key"], steps["value"]
        before = ops.less(ops.arange(0, 2 * self.slots, dtype="int32"), self.slots)
        unseen = ops.logical_and(before, ops.equal(seen, 0.0))
        near = attend(
            steps["query"],
            ops.concatenate([key_before, key], axis=1),
            ops.concatenate([value_before, value], axis=1),
            weights["lag_bias"][None] + ops.where(unseen, HIDDEN, 0.0),
        )
        recalled = attend(steps["state_query"], of_states["key"], of_states["value"])
        output = ops.concatenate([near, recalled], axis=-1)
        if not self.recurrent:
            return state, output
        found = [
            attend(of_states["query"], of_states["key"], of_states["value"]),
            attend(of_states["step_query"], key, value),
        ]
        found = ops.concatenate(found, axis=-1)
        # Real steps come first: if the last one is real, all are.
        complete = ops.greater(steps["real"][:, -1:], 0.0)
        states = ops.where(complete, gated(states, found, weights, self.gate), states)
        complete = complete[..., None]
        key = ops.where(complete, key, key_before)
        value = ops.where(complete, value, value_before)
        return [states, key, value, ops.where(complete, 1.0, seen)], output


def _bias_of_slots(lag_bias, slots):
    """The bias on logits of the previous and the current block, `(H, t, 2 t)`."""
    keys = ops.arange(0, 2 * slots, dtype="int32")
    lags = keys[:slots, None] + slots - keys[None]
    inside = ops.logical_and(
        ops.greater_equal(lags, 0), ops.less(lags, lag_bias.shape[0])
    )
    bias = ops.take(lag_bias, ops.where(inside, lags, 0), axis=0)
    return ops.transpose(ops.where(inside[..., None], bias, HIDDEN), (2, 0, 1))


def _beginning(steps, weights, block_size, slots, state):
    """The state of `Advance` before the first block."""
    batch, _, heads, key_dim = ops.shape(steps["key"])
    initial = weights["initial"][None]
    if state is None:
        value_dim = steps["value"].shape[-1]
        return [
            ops.broadcast_to(initial, (batch, *weights["initial"].shape)),
            ops.zeros((batch, slots, heads, key_dim)),
            ops.zeros((batch, slots, heads, value_dim)),
            ops.zeros((batch, 1, 1, 1)),
        ]
    seen = ops.greater_equal(state["count"], block_size)[:, None, None]
    return [
        ops.where(seen, state["states"], initial),
        ops.cast(state["key"][:, :block_size], "float32"),
        ops.cast(state["value"][:, :block_size], "float32"),
        ops.cast(seen[..., None], "float32"),
    ]


def _behind_open_block(steps, real, state, block_size):
    """Puts steps, and the mask of real ones, after those of the incomplete block."""
    batch, length = ops.shape(steps["key"])[:2]
    held = {name: state[name][:, block_size:] for name in ("key", "value")}
    room = (batch, block_size - 1)
    for name in ("query", "state_query"):
        # An earlier call returned their outputs.
        held[name] = ops.zeros((*room, *ops.shape(steps[name])[2:]))
    steps = {
        name: ops.concatenate([ops.cast(held[name], "float32"), x], axis=1)
        for name, x in steps.items()
    }
    slots = ops.arange(0, block_size - 1, dtype="int32")
    count = ops.cast(state["count"], "int32")
    filled = ops.less(slots[None], (count % block_size)[:, None])
    real = ops.ones((batch, length), dtype="bool") if real is None else real
    return steps, ops.concatenate([filled, real], axis=1)


def _next_state(state, end, steps, filled, block_size):
    """The state after these steps, which begin with those of the incomplete block."""
    states, *before, _ = end
    length = ops.shape(filled)[1]
    total = ops.cast(ops.sum(filled, axis=1), "int32")
    count = ops.cast(state["count"], "int32")
    first = total - total % block_size
    slots = ops.arange(0, block_size - 1, dtype="int32")
    index = ops.minimum(first[:, None] + slots[None], length - 1)
    count = count - count % block_size + total
    # Until the first block is complete, the state vectors do not change.
    begun = ops.greater_equal(count, block_size)[:, None, None]
    states = ops.where(begun, states, ops.cast(state["states"], states.dtype))
    found = {"count": count, "states": states}
    for name, x in zip(("key", "value"), before, strict=True):
        x = ops.concatenate([x, steps_at(steps[name], index)], axis=1)
        found[name] = ops.cast(x, state[name].dtype)
    return found
