"""All checks that apply to one layer."""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras

from keras_twa.layers.attention.base import Attention
from keras_twa.suggestions import did_you_mean
from keras_twa.testing.case import Case
from keras_twa.testing.harness import HEAD_WIDTH
from keras_twa.testing.harness import HEADS
from keras_twa.testing.promises import PROMISES


def check_attention(
    factory: Callable[..., Any],
    reference: Callable[..., Any] | None = None,
    *,
    checks: Iterable[str] | None = None,
) -> tuple[str, ...]:
    """Checks that an attention layer keeps the contract of the layers of this package.

    It runs every check that applies to the facts that the layer states, such as
    `causality`, `cross_attention`, `pairwise_mask` and `prefix_invariant`: later steps
    do not affect earlier outputs, padding has no effect, rows that see nothing give 0,
    a sequence in parts gives the same outputs as one call, half precision stays close,
    configs and files round-trip, bad input raises. Checking a layer takes one or a few
    minutes.

    It sets the random seeds of Keras before each check.

    Args:
        factory: Function from keyword arguments of the constructor, at least
            `num_heads` and `key_dim`, to a new `keras_twa.layers.Attention`. It may be
            the class itself. If it sets other arguments, those that it is called with
            must override them.
        reference: The same mechanism in NumPy, or `None`. It is called with a
            dictionary of the layer's weights in float64 by name, such as
            "query/kernel", the `query` and the `value`, and, as keyword arguments,
            those of `key`, `query_mask`, `value_mask`, `key_mask`, `attention_mask`,
            `use_causal_mask`, `query_positions` and `key_positions` that a call has. It
            returns the output and the attention weights `(B, H, T, S)`, or `None` for
            the weights if there are none. Values, and first and second derivatives, of
            the layer must equal those of the reference. It is differentiated by the
            complex step: it must accept complex numbers, and compare only real parts.
        checks: Names of the checks to run. Defaults to all that apply.

    Returns:
        The names of the checks that ran.

    Raises:
        AssertionError: If a check fails. The message starts with the check's name.
        ValueError: If `factory` does not return an attention layer of this package, a
            check is unknown, or the layer supports cross-attention but is never causal.
        RuntimeError: If Python runs with `-O`, which removes assertions.

    Example:

    >>> from keras_twa.layers import LocalAttention
    >>> from keras_twa.testing import check_attention
    >>> def factory(**options):
    ...     return LocalAttention(**{"window": 2, **options})
    >>> check_attention(factory, checks=["future_leaves_past", "padding_is_inert"])
    ('future_leaves_past', 'padding_is_inert')
    """
    if not __debug__:
        raise RuntimeError("Checks are assertions, and `python -O` removes them.")
    case = _case(factory, reference)
    wanted = [*PROMISES] if checks is None else list(checks)
    for name in wanted:
        if name not in PROMISES:
            hint = did_you_mean(name, PROMISES)
            raise ValueError(
                f"Unknown check. {hint}The checks are {', '.join(PROMISES)}. "
                f"Received: {name!r}"
            )
    chosen = [name for name in wanted if PROMISES[name].applies(case)]
    for name in chosen:
        keras.utils.set_random_seed(0)
        try:
            PROMISES[name].check(case)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        # A third-party layer may raise anything. The name of the check helps its
        # author.
        except Exception as error:
            kind = type(error).__name__
            raise AssertionError(f"{name}: {kind}: {error}") from error
    return tuple(chosen)


def _case(factory: Callable[..., Any], reference: Callable[..., Any] | None) -> Case:
    """The `Case` of a factory and a reference."""
    sizes = {"num_heads": HEADS, "key_dim": HEAD_WIDTH}
    layer = factory(**sizes)
    if not isinstance(layer, Attention):
        raise ValueError(
            "`factory` must return a `keras_twa.layers.Attention`. "
            f"Received: factory={factory!r}, which returns {layer!r}"
        )
    if layer.causality == "never" and layer.cross_attention:
        raise ValueError(
            "The checks make causal calls, which this layer does not support. "
            f"Received: factory={factory!r}, whose layer states causality='never'"
        )
    # Checks must not use an option that the layer refuses.
    options = {}
    try:
        factory(**sizes, value_dim=HEAD_WIDTH + 1)
    except ValueError:
        options["value_dim"] = HEAD_WIDTH
    name = type(layer).__name__
    return Case(name, type(layer), reference, options, factory=factory)
