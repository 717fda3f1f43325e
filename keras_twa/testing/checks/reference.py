"""The outputs and gradients of a layer equal those of its float64 loop."""

import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.checks.shared import SCORES
from keras_twa.testing.complex_step import directional_derivative
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import everything_for
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import pair_of_lengths


def equals_reference(case, call):
    """The output equals that of the float64 loop, with and without the scores."""
    layer = harness.built(case, call)
    output, scores = case.reference(harness.weights_of(layer), call)
    assert_close(harness.run(layer, call).output, output, "output")
    if not case.has_pairs:
        return
    explicit = harness.run(layer, {**call, **SCORES})
    assert_close(explicit.output, output, "output beside the scores")
    assert_close(explicit.scores, scores, "scores")


def equals_reference_in(case, scenarios):
    """The output equals that of the float64 loop in all scenarios."""
    for name, call in scenarios.items():
        try:
            equals_reference(case, call)
        except AssertionError as error:
            raise AssertionError(f"scenario {name!r}: {error}") from error


def equals_reference_at_length(case, query_length, key_length):
    """The output equals that of the float64 loop at unusual lengths."""
    if not case.facts.cross_attention:
        key_length = query_length
    mask = np.ones((harness.BATCH, key_length), bool)
    mask[1, key_length // 2 + 1 :] = False
    for causal in (False, True):
        options = {"value_mask": mask, "use_causal_mask": causal}
        call = pair_of_lengths(case, query_length, key_length, **options)
        if case.takes(call):
            equals_reference(case, call)


def gradients_equal_reference(case, call=None):
    """Gradients equal those of the loop along random directions."""
    call = everything_for(case) if call is None else call
    layer = harness.built(case, call)
    weights = harness.weights_of(layer)
    tensors, options = harness.split(call, case.facts)
    # For differentiation, a tensor that is both query and value becomes two.
    tensors = {name: x.copy() for name, x in tensors.items()}
    if not case.facts.cross_attention:
        tensors = {"query": tensors["query"]}
    given = {**call, "value": tensors["query"], **tensors}
    output, _ = case.reference(weights, given)
    cotangent = normal(*output.shape, seed=20)
    got = harness.run_with_gradients(layer, call, cotangent)
    assert_close(got.output, output, "output while differentiating")

    def loss(arguments):
        tensors = {k: arguments[k] for k in harness.TENSORS if k in arguments}
        weights = {k: v for k, v in arguments.items() if k not in harness.TENSORS}
        output, _ = case.reference(weights, {**tensors, **options})
        return (output * cotangent).sum()

    arguments = {**weights, **{k: v.astype("float64") for k, v in tensors.items()}}
    for name, gradient in {**got.inputs, **got.weights}.items():
        direction = normal(*gradient.shape, seed=21).astype("float64")
        expected = directional_derivative(loss, arguments, name, direction)
        size = np.linalg.norm(gradient) * np.linalg.norm(direction)
        error = abs((gradient * direction).sum() - expected)
        assert error <= 2e-4 * size + 2e-5, (
            f"gradient to {name}: {(gradient * direction).sum()} != {expected}"
        )
