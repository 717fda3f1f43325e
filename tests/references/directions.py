"""Loops of causal mechanisms that run backward, or half of the heads each way."""

import numpy as np


def in_direction(loop, direction):
    """Return the loop of a mechanism that runs in a direction."""

    def backward(weights, query, **call):
        return reversed_back(*forward(weights, **reversed_call(query, **call)))

    def forward(weights, query, **call):
        return loop(weights, query, query, **{**call, "use_causal_mask": True})

    def both(weights, query, **call):
        kernel = weights["attention_output/kernel"]
        first = np.arange(len(kernel)) < len(kernel) // 2
        halves = []
        for run, heads in ((forward, first), (backward, ~first)):
            given = {**weights}
            given["attention_output/kernel"] = kernel * heads[:, None, None]
            if run is backward:
                given.pop("attention_output/bias", None)
            halves.append(run(given, query, **call))
        (output, scores), (more, others) = halves
        if scores is not None:
            scores = np.where(first[None, :, None, None], scores, others)
        return output + more, scores

    def run(weights, query, value, key=None, **call):
        """Return `(output, scores)` of self-attention."""
        del value, key
        return {"backward": backward, "both": both}[direction](weights, query, **call)

    return run


def reversed_call(query, **call):
    """Return a call of self-attention with its steps in reverse order."""
    call = {**call, "query": query[:, ::-1]}
    for name in ("query_mask", "value_mask", "key_mask"):
        if call.get(name) is not None:
            call[name] = np.asarray(call[name])[:, ::-1]
    if call.get("attention_mask") is not None:
        call["attention_mask"] = np.asarray(call["attention_mask"])[..., ::-1, ::-1]
    for name in ("query_positions", "key_positions"):
        if call.get(name) is not None:
            call[name] = -np.asarray(call[name])[..., ::-1]
    return call


def reversed_back(output, scores):
    """Return outputs and scores in the order of the given steps."""
    return output[:, ::-1], None if scores is None else scores[..., ::-1, ::-1]
