"""The arguments of a call: their names, and nested lists in the place of tensors."""

import keras
import numpy as np
from keras import ops

from keras_twa.times import refuse_dates
from keras_twa.times import without_wide_integers

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
TENSORS = (*NAMES[:7], "query_positions", "key_positions")


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
    convert = _converter()
    given = {**dict(zip(NAMES, args, strict=False)), **kwargs}
    return {name: convert(name, x) for name, x in given.items()}


def before_conversion(args, kwargs):
    """The arguments of a call, before Keras converts them to tensors.

    Keras would convert one array that is query and value, or the mask of both, into two
    tensors, and then nobody knows that they are one. Of nested lists it would convert
    the numbers.

    Args:
        args: Those without a name.
        kwargs: Those with a name.
    """
    convert = _converter()
    converted = [convert(*pair) for pair in zip(NAMES, args, strict=False)]
    # Keras says how many arguments are too many.
    converted += args[len(NAMES) :]
    return converted, {name: convert(name, x) for name, x in kwargs.items()}


def masks_and_times(kwargs):
    """Arguments by name, with arrays where masks or positions are nested lists."""
    return {
        name: _mask_or_times(name, x) if name.endswith(("_mask", "positions")) else x
        for name, x in kwargs.items()
    }


def _mask_or_times(name, given):
    """A mask or times, as an array where they are nested lists."""
    array = as_array(name, given)
    if isinstance(array, np.ndarray):
        refuse_dates(array, name)
        if name.endswith("positions"):
            return without_wide_integers(array)
    return array


def _converter():
    """A function from the name and value of an argument to a tensor, if it is one.

    It makes one tensor of one array. States and flags stay as they are.
    """
    made = {}

    def convert(name, given):
        if name not in TENSORS or not isinstance(given, list | tuple | np.ndarray):
            return given
        if id(given) not in made:
            made[id(given)] = ops.convert_to_tensor(_mask_or_times(name, given))
        return made[id(given)]

    return convert
