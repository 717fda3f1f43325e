"""The other backends, for tests that compare with one of them."""

import importlib.util

import keras

BACKENDS = ("jax", "tensorflow", "torch")


def next_backend():
    """Return the installed backend that follows this run's, or `None`.

    Runs of all backends so compare each with another, and all of them with one another.
    """
    here = BACKENDS.index(keras.backend.backend())
    others = [*BACKENDS[here + 1 :], *BACKENDS[:here]]
    return next((name for name in others if importlib.util.find_spec(name)), None)
