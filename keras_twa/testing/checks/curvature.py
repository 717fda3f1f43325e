"""The second derivatives of a layer are those of its float64 loop."""

import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.complex_step import directional_derivative
from keras_twa.testing.curvature import arguments_of
from keras_twa.testing.curvature import hessian_vector_product
from keras_twa.testing.curvature import lines_through
from keras_twa.testing.scenarios import everything_for
from keras_twa.testing.scenarios import normal

STEP = 1e-5


def second_derivatives_equal_reference(case, call=None):
    """The gradient changes along a random direction like the gradient of the loop."""
    call = everything_for(case) if call is None else call
    layer = harness.built(case, call)
    fixed = harness.weights_of(layer)
    tensors, weights, options = arguments_of(layer, call)
    arguments = {**tensors, **{name: fixed[name] for name in weights}}
    arguments = {name: np.asarray(x, "float64") for name, x in arguments.items()}
    along, across = (lines_through(arguments, seed) for seed in (40, 60))
    cotangent = normal(*harness.run(layer, call).output.shape, seed=20)
    got = hessian_vector_product(layer, call, cotangent, along)

    def loss(moved):
        # The complex step moves along one direction, real numbers along the other.
        at = {name: x + moved["line"] * across[name] for name, x in moved["at"].items()}
        inputs = {name: at.pop(name) for name in tensors}
        output, _ = case.reference({**fixed, **at}, {**inputs, **options})
        return (np.sin(output) * cotangent).sum()

    def slope(distance):
        at = {name: x + distance * along[name] for name, x in arguments.items()}
        one = np.ones(())
        moved = {"line": np.zeros(()), "at": at}
        return directional_derivative(loss, moved, "line", one)

    expected = (slope(STEP) - slope(-STEP)) / (2 * STEP)
    found = sum((got[name] * across[name]).sum() for name in arguments)
    size = np.sqrt(sum(np.square(x).sum() for x in got.values()))
    width = np.sqrt(sum(np.square(x).sum() for x in across.values()))
    assert abs(found - expected) <= 2e-5 * size * width + 1e-4, (
        f"second derivative: {found} != {expected}"
    )
