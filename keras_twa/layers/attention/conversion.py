"""The arguments of a call: their names, and conversion of nested lists to tensors."""

import keras
import numpy as np
from keras import ops

from keras_twa.times import refuse_dates
from keras_twa.times import without_wide_integers

# The arguments of every attention layer, in the order of its call.
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
    "segment_ids",
    "key_segment_ids",
)
INPUTS = NAMES[:3]
SEGMENTS = ("segment_ids", "key_segment_ids")
TENSORS = (*NAMES[:7], "query_positions", "key_positions", *SEGMENTS)


def as_array(name, given):
    """Converts nested lists of numbers to a NumPy array; other values stay unchanged.

    Args:
        name: Name of the argument.
        given: Its value.

    Raises:
        ValueError: If lists hold tensors, or lists of different lengths.
    """
    if not isinstance(given, list | tuple):
        return given
    leaves = keras.tree.flatten(given)
    # Rows of a mask may be arrays. A list of arrays as an input is refused: it is
    # probably a list of inputs, as some Keras layers take.
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
    """The arguments of a call by name, with lists and arrays converted to tensors."""
    convert = _converter()
    given = {**dict(zip(NAMES, args, strict=False)), **kwargs}
    return {name: convert(name, x) for name, x in given.items()}


def before_conversion(args, kwargs):
    """Converts the arguments of a call before Keras does.

    Keras would convert an array that is both query and value, or the mask of both, into
    two tensors, and so hide that they are the same. In nested lists, it would convert
    each number.

    Args:
        args: The positional arguments.
        kwargs: The keyword arguments.
    """
    convert = _converter()
    converted = [convert(*pair) for pair in zip(NAMES, args, strict=False)]
    # Keras reports surplus arguments.
    converted += args[len(NAMES) :]
    return converted, {name: convert(name, x) for name, x in kwargs.items()}


def masks_and_times(kwargs):
    """Converts masks, positions and segments that are nested lists to arrays."""
    ends = ("_mask", "positions", "segment_ids")
    return {
        name: _mask_or_times(name, x) if name.endswith(ends) else x
        for name, x in kwargs.items()
    }


def _mask_or_times(name, given):
    """A mask or times, as an array if they are nested lists."""
    array = as_array(name, given)
    if isinstance(array, np.ndarray):
        refuse_dates(array, name)
        if name.endswith("positions"):
            return without_wide_integers(array)
    return array


def _converter():
    """A function that converts an argument, given its name and value, to a tensor.

    It converts the same array to the same tensor. States and flags stay unchanged.
    """
    made = {}

    def convert(name, given):
        if name not in TENSORS or not isinstance(given, list | tuple | np.ndarray):
            return given
        if id(given) not in made:
            made[id(given)] = ops.convert_to_tensor(_mask_or_times(name, given))
        return made[id(given)]

    return convert
