"""The random generators of a training."""

import random
from typing import Any

import keras
import numpy as np

from keras_twa.keras_internals import GLOBAL_SEED_GENERATOR
from keras_twa.keras_internals import get_global_attribute
from keras_twa.keras_internals import global_seed_generator
from keras_twa.ops import backend

States = dict[str, list[np.ndarray]]


class Generators:
    """All random generators that training a model may use.

    These are Python's, NumPy's and the backend's global ones, Keras's global one,
    and those of the model's layers. Stateful operations of TensorFlow, which Keras
    does not use, keep their state to themselves.

    Args:
        model: A built Keras model.
    """

    def __init__(self, model: Any) -> None:
        weights = {id(variable) for variable in model.weights}
        self._seeds = [v for v in model.variables if id(v) not in weights]

    def states(self) -> States:
        """Returns copies of the states. The generators do not change."""
        _, words, gauss = random.getstate()
        numpy: Any = np.random.get_state(legacy=False)
        found = _global_generator()
        return {
            "python": [np.array(words), np.array([] if gauss is None else [gauss])],
            "numpy": [
                np.array(numpy["state"]["key"]),
                np.array([numpy["state"]["pos"], numpy["has_gauss"]]),
                np.array(numpy["gauss"]),
            ],
            "keras": [] if found is None else [_value(found.state)],
            "layers": [_value(variable) for variable in self._seeds],
            "backend": backend.random_states(),
        }

    def restore(self, states: States) -> None:
        """Restores the generators to these states."""
        # Before Python's: Keras's is made with a number from that.
        for value in states["keras"]:
            global_seed_generator().state.assign(value)
        for variable, value in zip(self._seeds, states["layers"], strict=True):
            variable.assign(value)
        backend.set_random_states(states["backend"])
        words, gauss = states["python"]
        version = random.getstate()[0]
        random.setstate((version, tuple(words.tolist()), next(iter(gauss), None)))
        key, (place, has_gauss), gauss = states["numpy"]
        np.random.set_state(
            {
                "bit_generator": "MT19937",
                "state": {"key": key, "pos": int(place)},
                "has_gauss": int(has_gauss),
                "gauss": float(gauss),
            }
        )


def _global_generator() -> Any:
    """Keras's own generator, or `None` before its first use."""
    return get_global_attribute(GLOBAL_SEED_GENERATOR)


def _value(variable: Any) -> np.ndarray:
    # A copy: the array may share the memory of the variable.
    return np.array(keras.ops.convert_to_numpy(variable.value))
