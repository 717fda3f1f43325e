"""Checks of the arguments of data sets."""

import numbers


def integers_from(lowest, **arguments):
    """Raises `ValueError` unless each argument is an integer of at least `lowest`."""
    for name, value in arguments.items():
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or value < lowest:
            raise ValueError(
                f"`{name}` must be an integer of at least {lowest}. "
                f"Received: {name}={value!r}"
            )
