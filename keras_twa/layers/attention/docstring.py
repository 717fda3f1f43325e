"""Composes the docstring of a mechanism from its own part and the shared parts.

A mechanism documents its formula, its cost, the arguments that only it has, an example
and the paper. This module adds the arguments of the base class, described according to
the facts of the mechanism, so that `help` and the documentation show every argument. An
argument that a mechanism documents itself keeps that text.
"""

import inspect
import re
import textwrap

SECTIONS = ("Args", "Call arguments", "Returns", "Raises", "Example", "Reference")
WIDTH = 84
# A name at the beginning of an entry such as "num_heads: Number of heads H."
ENTRY = re.compile(r"^(\*{0,2}\w+): ", re.MULTILINE)


def composed(mechanism):
    """The complete docstring of a mechanism, a subclass of `Attention`."""
    summary, sections = _parsed(inspect.getdoc(mechanism))
    before, after = _constructor(mechanism)
    own = sections.get("Args", {})
    unlike = {name: text for name, text in own.items() if name not in before | after}
    shared = {name: own.get(name, text) for name, text in (before | after).items()}
    names = [*before, *unlike, *after]
    sections["Args"] = {name: (unlike | shared)[name] for name in names}
    sections["Call arguments"] = _call(mechanism) | sections.get("Call arguments", {})
    sections.setdefault("Returns", _returns(mechanism))
    sections.setdefault("Raises", _raises(mechanism))
    parts = [summary]
    for name in SECTIONS:
        if name in sections:
            # A doctest follows a blank line and is not indented.
            space = "\n" if name == "Example" else ""
            parts.append(f"{name}:\n{space}{_written(sections[name])}")
    return "\n\n".join(parts) + "\n"


def _parsed(text):
    """The summary of a docstring, and its sections: entries by name, or plain text."""
    pattern = rf"^({'|'.join(SECTIONS)}):\n"
    summary, *rest = re.split(pattern, text, flags=re.MULTILINE)
    sections = {}
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        if name in ("Args", "Call arguments"):
            sections[name] = _entries(textwrap.dedent(body).strip("\n"))
        else:
            sections[name] = body.strip("\n")
    return summary.rstrip(), sections


def _entries(body):
    _, *rest = ENTRY.split(body)
    return {
        name: " ".join(text.split())
        for name, text in zip(rest[::2], rest[1::2], strict=True)
    }


def _written(section):
    if isinstance(section, str):
        return section
    return "\n".join(
        textwrap.fill(
            f"{name}: {text}",
            WIDTH,
            initial_indent="    ",
            subsequent_indent="        ",
            break_on_hyphens=False,
            break_long_words=False,
        )
        for name, text in section.items()
    )


def _constructor(mechanism):
    """The shared constructor arguments, before and after a mechanism's own."""
    has_weights = mechanism.pairwise_mask
    before = {
        "num_heads": "Number of heads H.",
        "key_dim": "Width D of each head's queries and keys.",
        "value_dim": "Width of each head's values. Defaults to `key_dim`.",
        "dropout": "Probability of dropping an attention weight in training. Defaults "
        "to 0."
        if has_weights
        else "Must be 0: there are no attention weights to drop.",
        "use_bias": "Whether projections have a bias. Defaults to `True`.",
        "output_shape": "Width (or shape) of the output. Defaults to the query's.",
    }
    after = {
        "kernel_initializer": "Initializer of the projection kernels.",
        "bias_initializer": "Initializer of the projection biases.",
        "kernel_regularizer": "Regularizer of the projection kernels.",
        "bias_regularizer": "Regularizer of the projection biases.",
        "activity_regularizer": "Regularizer of the output.",
        "kernel_constraint": "Constraint on the projection kernels.",
        "bias_constraint": "Constraint on the projection biases.",
        "seed": "Seed of the dropout." if has_weights else "Not used here.",
        "positions": _positions(mechanism),
        **_convolution(mechanism),
        **_direction(mechanism),
        "attention_axes": "Axes to attend over, for inputs with more than three axes: "
        "an integer or several. They become one sequence in row-major order; the "
        "others join the batch. Defaults to all but batch and features.",
    }
    return before, after


def _convolution(mechanism):
    if not mechanism.convolves:
        return {}
    causal = mechanism.causality == "always"
    return {
        "convolution": "Number K of steps, at least 2, of a causal convolution of each "
        "channel of queries, keys and values, followed by SiLU. Padding is skipped. "
        "The weight `convolution/kernel` is `(K, C)`, the last step last, where the C "
        "channels are those of all queries, then keys, then values. A state also holds "
        'the last K - 1 real steps, "convolution" `(B, K - 1, C)`. '
        + ("" if causal else "Makes the layer causal, and for self-attention only. ")
        + "Defaults to `None`, no convolution."
    }


def _direction(mechanism):
    if mechanism.allowed_directions == ("forward",):
        return {}
    both = (
        '; "both", the first half of the heads forward and the second half backward, '
        "which requires an even number of heads"
        if "both" in mechanism.allowed_directions
        else ""
    )
    return {
        "direction": f'"forward"; "backward", from the last step to the first{both}. '
        "All but forward layers are not causal, have no states, and attend to their "
        'own sequence only. Defaults to "forward".'
    }


def _positions(mechanism):
    names = ['"rotary"'] * mechanism.rotary
    names += ['"alibi"', '"t5"', '"shaw"'] * mechanism.position_bias
    if not names:
        return "Must be `None`: the mechanism does not support positions inside."
    return (
        f"{', '.join(names)}, or such a layer: positions inside the attention. "
        "Defaults to `None`."
    )


def _call(mechanism):
    """The arguments of every call."""
    crosses, has_weights = mechanism.cross_attention, mechanism.pairwise_mask
    keys = "S" if crosses else "T"
    return {
        "query": "`(B, T, F)`, or `(B, ..., F)` with several axes of steps.",
        "value": "`(B, S, F)`. Defaults to `query`: self-attention."
        if crosses
        else "The query. Defaults to `query`: only self-attention is supported.",
        "key": "`(B, S, F)`. Defaults to `value`."
        if crosses
        else "The query. Defaults to `value`.",
        "query_mask": "Boolean `(B, T)`, `True` for real steps.",
        "value_mask": f"Boolean `(B, {keys})`.",
        "key_mask": f"Boolean `(B, {keys})`.",
        "attention_mask": f"Boolean `(T, {keys})`, `(B, T, {keys})` or "
        f"`(B, H, T, {keys})`, `True` to attend."
        if has_weights
        else "Must be `None`: there are no scores of all pairs to mask.",
        "return_attention_scores": "Whether to return the attention weights too. "
        f"They need O(T {keys}) memory."
        if has_weights
        else "Must be `False`: there are no attention weights of all pairs.",
        "training": "Whether dropout is active." if has_weights else "Not used here.",
        "use_causal_mask": _causal(mechanism),
        "query_positions": _query_positions(mechanism),
        "key_positions": _key_positions(mechanism),
        **_streaming(mechanism),
        "projected": "A sequence projected by `project`, in place of `value`, `key`, "
        "their masks and positions."
        if crosses
        else "Must be `None`: the layer attends to its own sequence only.",
        **_segments(mechanism),
    }


def _causal(mechanism):
    if mechanism.causality == "always":
        return "Not used here: the layer is always causal."
    if mechanism.cross_attention:
        return "Whether query `i` sees only keys `j <= i + S - T`."
    return "Whether a step sees only itself and earlier steps."


def _query_positions(mechanism):
    of = "queries" if mechanism.cross_attention else "steps"
    text = f"Times of the {of}, `(T,)` or `(B, T)`"
    if mechanism.uses_times:
        rises = "" if mechanism.times_may_fall else ", which must not decrease"
        return (
            f"{text}{rises}. Defaults to the numbers of the real steps, 0, 1, 2, ...; "
            "with a state, these continue from its last time."
        )
    if mechanism.rotary or mechanism.position_bias:
        return f"{text}. Used by `positions` only. Defaults to 0 ... T-1."
    return f"{text}. Not used here."


def _key_positions(mechanism):
    if not mechanism.cross_attention:
        return "Times of the steps. Defaults to `query_positions`."
    text = "Times of the keys, `(S,)` or `(B, S)`"
    if not (mechanism.uses_times or mechanism.rotary or mechanism.position_bias):
        return f"{text}. Not used here."
    return (
        f"{text}. Defaults to those of the queries in self-attention, else to "
        "0 ... S-1. Required with `query_positions` if value is another tensor."
    )


def _streaming(mechanism):
    if not mechanism.prefix_invariant:
        return {
            "initial_state": "Must be `None`: there are no states.",
            "return_state": "Must be `False`: there are no states.",
        }
    needs = ["a causal call"] * (mechanism.causality != "always")
    needs = ["causal self-attention"] if mechanism.cross_attention else needs
    return {
        "initial_state": "The state that an earlier call or step returned, or "
        "`initial_state(B)`." + "".join(f" Requires {need}." for need in needs),
        "return_state": "Whether to return the state too.",
    }


def _segments(mechanism):
    if not mechanism.packs:
        unsupported = "Must be `None`: packed rows are not supported."
        return {"segment_ids": unsupported, "key_segment_ids": unsupported}
    of = "queries" if mechanism.cross_attention else "steps"
    return {
        "segment_ids": f"The segments of the {of} in packed rows, integer `(B, T)`, 0 "
        "for padding. Steps see only their own segment: a run of equal numbers.",
        "key_segment_ids": "The segments of the keys in cross-attention, integer "
        "`(B, S)`. Queries see the keys of the same number."
        if mechanism.cross_attention
        else "Must be `None`: keys have the segments of the queries.",
    }


def _returns(mechanism):
    text = "`(B, T, output_shape)`"
    if mechanism.pairwise_mask:
        keys = "S" if mechanism.cross_attention else "T"
        text += (
            "; with `return_attention_scores`, also the attention weights "
            f"`(B, H, T, {keys})` in float32"
        )
    if mechanism.prefix_invariant:
        text += "; with `return_state`, also the state, a dictionary of tensors"
    return textwrap.indent(textwrap.fill(f"{text}.", WIDTH - 4), "    ")


def _raises(mechanism):
    text = "ValueError: If a size is not positive, or a shape does not fit"
    if not mechanism.pairwise_mask:
        text = (
            "ValueError: If a size is not positive, a shape does not fit, or attention "
            "weights are to be masked, dropped or returned"
        )
    return textwrap.fill(
        f"{text}.", WIDTH, initial_indent="    ", subsequent_indent="        "
    )
