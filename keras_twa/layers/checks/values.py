"""Checks of options: numbers, names, and lists of these."""

import itertools
import math
import operator


def positive_integer(**arguments):
    """Checks that each named argument is an integer above zero."""
    for name, value in arguments.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value <= 0:
            raise ValueError(
                f"The argument `{name}` must be a positive integer. "
                f"Received: {name}={value!r}"
            )


def integer(**arguments):
    """Checks that each named argument is an integer."""
    for name, value in arguments.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"`{name}` must be an integer. Received: {name}={value!r}")


def positive_even_integer(**arguments):
    """Checks that each named argument is an even integer above zero."""
    positive_integer(**arguments)
    for name, value in arguments.items():
        if value % 2:
            raise ValueError(f"`{name}` must be even. Received: {name}={value!r}")


def convolution(size):
    """Checks the number of steps of a short convolution."""
    if not isinstance(size, int) or isinstance(size, bool) or size < 2:
        raise ValueError(
            "`convolution` must be a number of steps, an integer from 2, or `None`. "
            f"Received: convolution={size!r}"
        )


def whole_number(**arguments):
    """Checks that each named argument is an integer, zero or above."""
    for name, value in arguments.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < 0:
            raise ValueError(
                f"`{name}` must be an integer, zero or above. "
                f"Received: {name}={value!r}"
            )


def pair(name, given):
    """Converts a positive integer, or two of them, to a tuple of two."""
    found = tuple(given) if isinstance(given, list | tuple) else (given, given)
    if len(found) != 2:
        raise ValueError(
            f"`{name}` must be a positive integer or a pair. Received: {name}={given!r}"
        )
    for one in found:
        positive_integer(**{name: one})
    return found


def positive_number(**arguments):
    """Checks that each named argument is a finite number above zero."""
    for name, value in arguments.items():
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(
                f"`{name}` must be a positive finite number. Received: {name}={value!r}"
            )


def finite_number(**arguments):
    """Checks that each named argument is a number, and neither infinite nor NaN."""
    for name, value in arguments.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(
                f"`{name}` must be a finite number. Received: {name}={value!r}"
            )


def probability(**arguments):
    """Checks that each named argument is in [0, 1)."""
    for name, value in arguments.items():
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise ValueError(
                f"`{name}` must be a number in [0, 1). Received: {name}={value!r}"
            )


def boolean(**arguments):
    """Checks that each named argument is `True` or `False`."""
    for name, value in arguments.items():
        if not isinstance(value, bool):
            raise ValueError(
                f"`{name}` must be True or False. Received: {name}={value!r}"
            )


def grouped_heads(num_heads, num_key_value_heads):
    """Checks that the heads of keys and values divide the heads of queries evenly."""
    positive_integer(num_key_value_heads=num_key_value_heads)
    if num_heads % num_key_value_heads:
        raise ValueError(
            "`num_heads` must be divisible by `num_key_value_heads`. Received: "
            f"num_heads={num_heads}, num_key_value_heads={num_key_value_heads}"
        )


def positive_share(**arguments):
    """Checks that each named argument is in (0, 1]."""
    for name, value in arguments.items():
        if not isinstance(value, int | float) or not 0 < value <= 1:
            raise ValueError(
                f"`{name}` must be a number in (0, 1]. Received: {name}={value!r}"
            )


def tokens(name, given, vocabulary_size):
    """Checks that all tokens are inside the vocabulary, and none is padding."""
    fits = given.dtype.kind in "iu" and given.ndim == 1
    if not fits or not ((given > 0) & (given < vocabulary_size)).all():
        raise ValueError(
            f"`{name}` must be integers from 1 to {vocabulary_size - 1}: 0 is padding. "
            f"Received: {given.tolist()!r}"
        )


def one_of(choices, **arguments):
    """Checks that each named argument is one of `choices`."""
    for name, value in arguments.items():
        if value not in choices:
            raise ValueError(
                f"`{name}` must be one of {list(choices)}. Received: {name}={value!r}"
            )


def discounts(given):
    """Checks that `given` is one or more discounts, each strictly between 0 and 1."""
    valid = isinstance(given, tuple | list) and len(given) > 0
    if not valid or not all(
        isinstance(gamma, int | float) and 0 < gamma < 1 for gamma in given
    ):
        raise ValueError(
            "`discounts` must be one or more numbers in (0, 1). "
            f"Received: discounts={given!r}"
        )


def timescales(given, num_timescales, longest_timescale):
    """Checks discounts, or that "log_uniform" ones have a number and a range."""
    spreads = {
        "num_timescales": num_timescales,
        "longest_timescale": longest_timescale,
    }
    if isinstance(given, str) and given == "log_uniform":
        positive_integer(num_timescales=num_timescales)
        if longest_timescale is not None:
            positive_number(longest_timescale=longest_timescale)
            if longest_timescale <= 1:
                raise ValueError(
                    "`longest_timescale` must be more than 1. "
                    f"Received: longest_timescale={longest_timescale!r}"
                )
        return
    discounts(given)
    for name, value in spreads.items():
        if value is not None:
            raise ValueError(
                f"`{name}` requires `discounts='log_uniform'`. "
                f"Received: {name}={value!r}, discounts={given!r}"
            )


def selected_timescales(select, count, decoder):
    """Checks how many of `count` timescales a gate selects."""
    if select is None:
        return
    positive_integer(select=select)
    if decoder != "gated" or select > count:
        raise ValueError(
            "`select` requires `decoder='gated'`, and at least as many timescales. "
            f"Received: select={select}, decoder={decoder!r}, {count} timescales"
        )


def lags(given):
    """Checks that `given` is one or more finite, increasing lags from 0 on."""
    valid = isinstance(given, tuple | list) and len(given) > 0
    valid = valid and all(
        isinstance(lag, int | float) and 0 <= lag < math.inf for lag in given
    )
    if not valid or any(b <= a for a, b in itertools.pairwise(given)):
        raise ValueError(
            "`lags` must be one or more increasing numbers that are not negative. "
            f"Received: lags={given!r}"
        )


def axes(given):
    """Converts `attention_axes` to a tuple of integers, or `None`."""
    if given is None:
        return None
    listed = given if isinstance(given, list | tuple) else (given,)
    try:
        found = tuple(operator.index(axis) for axis in listed)
    except TypeError:
        found = ()
    if not found or any(isinstance(axis, bool) for axis in listed):
        raise ValueError(
            "`attention_axes` must be an integer or a nonempty list of integers. "
            f"Received: attention_axes={given!r}"
        )
    return found


def output_dims(output_shape):
    """Converts `output_shape` to a tuple of one to five integers, or `None`."""
    if output_shape is None:
        return None
    dims = output_shape if isinstance(output_shape, list | tuple) else (output_shape,)
    valid = all(isinstance(dim, int) and dim > 0 for dim in dims)
    if not valid or not 1 <= len(dims) <= 5:
        raise ValueError(
            "Invalid `output_shape`: it must be a positive integer or up to five of "
            f"them. Received: output_shape={output_shape!r}"
        )
    return tuple(dims)
