"""The arguments of a call: their names, and nested lists in the place of tensors."""

import keras
import numpy as np
from keras import ops

# Those of every attention layer, in the order of its call.
NAMES = (
    "query",
    "value",
    "key",
    "query_mask",
    "value_mask",
    "key_mask",
    "attention_mask",
    "return_attention_scores",
    "training",
    "use_causal_mask",
    "query_positions",
    "key_positions",
    "initial_state",
    "return_state",
    "projected",
)
INPUTS = NAMES[:3]
MASKS_AND_TIMES = (*NAMES[3:7], "query_positions", "key_positions")


def as_array(name, given):
    """A NumPy array of the numbers in nested lists; all else as it is.

    Args:
        name: Name of the argument.
        given: Its value.

    Raises:
        ValueError: If lists hold tensors, or lists of different lengths.
    """
    if not isinstance(given, list | tuple):
        return given
    leaves = keras.tree.flatten(given)
    # Rows of a mask may be arrays. A list of inputs, as some layers of Keras take, is
    # not one input more.
    kinds = int | float | np.generic
    if name not in INPUTS:
        kinds |= np.ndarray
    wrong = [type(x).__name__ for x in leaves if not isinstance(x, kinds)]
    if wrong:
        raise ValueError(
            f"`{name}` must be a tensor, an array, or nested lists of numbers; query, "
            "value and key are arguments of their own: `layer(query, value, key)`. "
            f"Received: {name} as a list with {', '.join(wrong[:3])}"
        )
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ValueError(
            f"`{name}` must have rows of the same length. Received: {name}={given!r}"
        ) from error


def named(args, kwargs):
    """The arguments of a call by their names, with tensors in the place of lists."""
    given = {**dict(zip(NAMES, args, strict=False)), **kwargs}
    given = {name: _converted(name, x) for name, x in given.items()}
    return {
        name: ops.convert_to_tensor(x)
        if isinstance(x, np.ndarray) and name in MASKS_AND_TIMES
        else x
        for name, x in given.items()
    }


def before_conversion(query, args, kwargs):
    """The arguments of a call, before Keras converts them to tensors.

    Keras would convert one array that is query and value into two tensors, and then
    nobody knows that they are one. Of nested lists it would convert the numbers.

    Args:
        query: The first argument.
        args: The further ones without a name.
        kwargs: Those with a name.

    Returns:
        All arguments without a name, the query first, and those with a name.
    """
    x = as_array("query", query)
    x = ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x

    def converted(name, given):
        return x if given is query else _converted(name, given)

    further = [converted(*pair) for pair in zip(NAMES[1:], args, strict=False)]
    # Keras says how many arguments are too many.
    further += args[len(NAMES) - 1 :]
    return (x, *further), {n: converted(n, given) for n, given in kwargs.items()}


def _converted(name, given):
    """`as_array` for what may be a list; states and flags stay as they are."""
    return as_array(name, given) if name in INPUTS + MASKS_AND_TIMES else given
