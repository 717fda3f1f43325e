"""Checks of what an attention layer supports, and of its states."""

from keras_twa.layers.checks import values
from keras_twa.layers.checks.tensors import same_shape

# Options of Keras's attention layers, and what to use instead.
OF_KERAS = {
    "flash_attention": (
        "leave it out, as no mechanism holds the scores of all pairs unless they are "
        "requested"
    ),
    "head_dim": "use `key_dim`",
    "num_key_value_heads": "use `num_key_value_heads` of `DotProductAttention`",
    "num_query_heads": "use `num_heads`",
    "sliding_window": (
        "use `window` of `LocalAttention`, or `sliding_window` of `DotProductAttention`"
    ),
    "use_gate": "use `gated` of `DotProductAttention`",
}


def facts(layer, arguments):
    """Checks that a layer supports everything that a call requests."""
    name = type(layer).__name__
    has_pairs(layer, arguments.attention_mask)
    if not layer.pairwise_mask and arguments.return_scores:
        raise ValueError(
            f"{name} has no scores of pairs to return. "
            "Received: return_attention_scores=True"
        )
    if not layer.cross_attention and not arguments.is_self_attention:
        raise ValueError(
            f"{name} attends to its own sequence only. "
            "Received: a value or a key that is not the query"
        )
    if arguments.is_causal:
        can_be_causal(layer)


def has_pairs(layer, mask):
    """Checks that a layer has scores of pairs if they are to be masked."""
    if not layer.pairwise_mask and mask is not None:
        raise ValueError(
            f"{type(layer).__name__} has no scores of pairs to mask: use `query_mask`, "
            f"`value_mask`. Received: attention_mask of shape {tuple(mask.shape)}"
        )


def whole_sequences(given):
    """Checks that a call with additional axes has none of some arguments."""
    names = "initial_state", "return_state", "projected", "segment_ids"
    for name in (*names, "key_segment_ids"):
        if given.get(name) is not None and given[name] is not False:
            raise ValueError(
                f"`{name}` requires sequences (batch, length, features): reshape the "
                "inputs first. "
                f"Received: {name}, and query of shape {tuple(given['query'].shape)}"
            )


def can_be_causal(layer):
    """Checks that a layer can be causal."""
    if getattr(layer, "causality", "") == "never":
        raise ValueError(
            f"{_described(layer)} cannot be causal. Received: use_causal_mask=True"
        )


def crosses(layer):
    """Checks that a layer can attend to another sequence."""
    if not layer.cross_attention:
        name = type(layer).__name__
        raise ValueError(
            f"{name} attends to its own sequence only. Received: {name} for "
            "cross-attention, or with another projected sequence"
        )


def no_flash_with(what, **arguments):
    """Checks that no option needs all scores while `flash_attention=True`."""
    for name, value in arguments.items():
        if value:
            raise ValueError(
                f"{what} is not supported when flash attention is enabled. Please "
                "disable flash attention to access attention scores. "
                f"Received: flash_attention=True, {name}={value!r}"
            )


def without_keras_options(layer, options):
    """Removes unset options of Keras's attention layers.

    Raises:
        ValueError: If one is set, with the name of the option to use instead.
    """
    name, kept = type(layer).__name__, {}
    for option, value in options.items():
        if option not in OF_KERAS:
            kept[option] = value
        elif value not in (None, False):
            instead = OF_KERAS[option]
            if option == "sliding_window" and name == "LocalAttention":
                instead = "use `window`"
            raise ValueError(
                f"{name} has no `{option}`: {instead}. Received: {option}={value!r}"
            )
    return kept


def no_dropout(layer, dropout):
    """Checks that a layer without attention weights has no dropout."""
    if dropout != 0:
        raise ValueError(
            f"{type(layer).__name__} has no attention weights to drop. "
            f"Received: dropout={dropout!r}"
        )


def defined_with(layer, given, needs):
    """Checks that a layer supports such positions inside.

    Args:
        layer: The attention layer.
        given: Its argument `positions`.
        needs: The fact that must be true, "rotary" or "position_bias".
    """
    if getattr(layer, needs):
        return
    choices = ["'rotary'"] * layer.rotary
    choices += ["'alibi', 't5' or 'shaw'"] * layer.position_bias
    choices.append("`SinusoidalPositions` or `LearnedPositions` at the model's input")
    why = "turned" if needs == "rotary" else "given a bias"
    what = "queries and keys" if needs == "rotary" else "scores of pairs"
    raise ValueError(
        f"{type(layer).__name__} is not defined with {what} that are {why}. Use "
        f"{', or '.join(choices)}. Received: positions={given!r}"
    )


def has_states(layer):
    """Checks that a layer accepts a sequence in parts."""
    name = type(layer).__name__
    if _direction_of(layer) != "forward":
        raise ValueError(
            f"{_described(layer)} has no states, as it reads sequences from their end. "
            f"Received: a call of {name} for or with a state"
        )
    if not layer.prefix_invariant:
        raise ValueError(
            f"{name} has no states: later steps affect which earlier steps a step "
            f"sees, so it needs the whole sequence. Received: a call of {name} for or "
            "with a state"
        )


def built(layer):
    """Checks that a layer is built, and so knows the width of its inputs."""
    if not layer.built:
        raise ValueError(
            "Call or build the layer first, so that it knows the width of its inputs. "
            f"Received: {layer.name}, which is not built"
        )


def streaming(layer, arguments):
    """Checks that a call with a state is causal self-attention."""
    has_states(layer)
    if not arguments.is_self_attention:
        raise ValueError(
            "A state requires self-attention. "
            "Received: a value or a key that is not the query"
        )
    if not arguments.is_causal:
        raise ValueError(
            "A state requires causal attention, as later steps are not known yet. "
            "Received: use_causal_mask=False"
        )
    pairs = arguments.attention_mask
    if pairs is not None:
        raise ValueError(
            "With a state, masks may hide steps, but not pairs. "
            f"Received: attention_mask of shape {tuple(pairs.shape)}"
        )


def state(given, spec, batch):
    """Checks that a state was created by such a layer for the same batch size.

    Args:
        given: The state.
        spec: The result of `state_spec` of the layer.
        batch: B, or `None`.
    """
    shapes = {
        name: tuple(x.shape)
        for name, x in (given.items() if isinstance(given, dict) else ())
        if name != "length"
    }
    expected = {
        name: (batch, *(size or None for size in slot.shape))
        for name, slot in spec.items()
        if name != "length"
    }
    fits = set(shapes) == set(expected)
    if not fits or not all(
        same_shape(shapes[name], expected[name]) for name in expected
    ):
        raise ValueError(
            "`initial_state` must come from `initial_state(batch_size)` of this layer "
            f"or from an earlier call: {expected}, where None is any size. "
            f"Received: {shapes or repr(given)}"
        )


def parts(given, names):
    """Checks that the state of a block has the right parts."""
    if not isinstance(given, dict) or set(given) != set(names):
        received = sorted(given) if isinstance(given, dict) else repr(given)
        raise ValueError(
            "`initial_state` must come from `initial_state(batch_size)` of this block "
            f"or from an earlier call: a dictionary of {sorted(names)}. "
            f"Received: {received}"
        )


def projected(given, expected, query, others):
    """Checks that `projected` fits the layer and the query, and replaces all it should.

    Args:
        given: The argument `projected`.
        expected: The shapes of its projections, `(heads, dim)`, by name.
        query: `(B, T, F)`.
        others: The arguments that it replaces, by name.
    """
    both = [name for name, argument in others.items() if argument is not None]
    if both:
        raise ValueError(
            f"`projected` replaces {', '.join(others)}: pass these to `project`. "
            f"Received: projected and {', '.join(both)}"
        )
    shapes = {
        name: tuple(x.shape)
        for name, x in (given.items() if isinstance(given, dict) else ())
    }
    named = [name for name in expected if name in shapes]
    length = shapes[named[0]][1:2] if named else ()
    wanted = {name: (query.shape[0], *length, *dims) for name, dims in expected.items()}
    optional = {name: (query.shape[0], *length) for name in ("real", "time")}
    fits = set(expected) <= set(shapes) <= {*expected, *optional}
    wanted |= optional
    if not fits or not all(same_shape(shapes[name], wanted[name]) for name in shapes):
        raise ValueError(
            "`projected` must come from `project` of this layer, for the same number "
            f"of sequences: heads of shapes {expected} after batch and length. "
            f"Received: {shapes or repr(given)}"
        )


def direction(layer, given):
    """Checks the argument `direction` of a layer."""
    values.one_of(layer.allowed_directions, direction=given)
    if given == "both" and layer.num_heads % 2:
        raise ValueError(
            "`direction='both'` requires an even number of heads. "
            f"Received: direction='both', num_heads={layer.num_heads}"
        )


def _direction_of(layer):
    return getattr(layer, "direction", "forward")


def _described(layer):
    """The name of a layer's class, with its direction unless it runs forward."""
    name, given = type(layer).__name__, _direction_of(layer)
    return name if given == "forward" else f"{name} with direction={given!r}"
