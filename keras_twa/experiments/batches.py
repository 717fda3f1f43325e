"""What batches of any structure look like."""

from typing import Any

import keras
import numpy as np


def rows_of(inputs: Any, weights: Any) -> float:
    """Returns how many rows a batch counts as."""
    if weights is None:
        return float(len(keras.tree.flatten(inputs)[0]))
    return float(np.mean([np.sum(each) for each in keras.tree.flatten(weights)]))


def with_tuples(data: Any) -> Any:
    """Returns a structure with tuples for lists, which TensorFlow takes for arrays."""
    if isinstance(data, dict):
        return {name: with_tuples(each) for name, each in data.items()}
    if isinstance(data, (list, tuple)):
        return tuple(with_tuples(each) for each in data)
    return data


def shape_of(inputs: Any) -> tuple[Any, ...]:
    """Returns what a compiled function depends on: the shapes of the inputs."""
    shapes = [tuple(np.shape(each)) for each in keras.tree.flatten(inputs)]
    return shapes[0] if len(shapes) == 1 else tuple(shapes)
