"""The state vectors of block-recurrent attention: who attends, and how they change."""

from keras import ops

# Added to a logit, it makes the weight zero. Each step sees itself, so that no query
# has hidden keys only.
HIDDEN = -1e30
# Added to the mean square of a state vector.
EPSILON = 1e-6


def read(states, weights):
    """The queries, keys and values of the state vectors, `(B, N, H, width)`."""
    squares = ops.mean(ops.square(states), axis=-1, keepdims=True)
    named = states * ops.rsqrt(squares + EPSILON) + weights["ids"]
    # b: batch, n: state vectors, m: their width, h: heads, d: width of a head.
    return {
        name: ops.einsum("bnm,mhd->bnhd", named, weights[f"{name}_kernel"])
        for name in ("query", "step_query", "key", "value")
    }


def attend(query, key, value, bias=None):
    """Softmax attention to all keys, with a bias `(B or 1, H or 1, t, s)`."""
    # b: batch, t: queries, s: keys, h: heads, d: width of a head.
    query = query * float(query.shape[-1]) ** -0.5
    logits = ops.einsum("bthd,bshd->bhts", query, key)
    logits = logits if bias is None else logits + bias
    return ops.einsum("bhts,bshd->bthd", ops.softmax(logits, axis=-1), value)


def gated(states, found, weights, gate):
    """The next state vectors.

    Args:
        states: `(B, N, M)`.
        found: Their outputs over the state vectors and the block, `(B, N, H, 2 E)`.
        weights: "candidate_kernel" `(H, 2 E, M)` and, if any, "candidate_bias" `(M,)`.
            For the gate "fixed", "keep_logits" `(M,)`; for "lstm", kernels and biases
            of "forget" and "input" as well.
        gate: "fixed" or "lstm".
    """

    def dense(name):
        # b: batch, n: state vectors, m: their width, h: heads, d: width of a head.
        output = ops.einsum("bnhd,hdm->bnm", found, weights[f"{name}_kernel"])
        bias = weights.get(f"{name}_bias")
        return output if bias is None else output + bias

    if gate == "fixed":
        keep = ops.sigmoid(weights["keep_logits"])
        return keep * states + (1.0 - keep) * dense("candidate")
    # Initially, the gates keep most of the state and add little.
    keep, enter = ops.sigmoid(dense("forget") + 1.0), ops.sigmoid(dense("input") - 1.0)
    return keep * states + enter * ops.tanh(dense("candidate"))
