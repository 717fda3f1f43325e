"""Large logits, small features and coincident points stay exact."""

import numpy as np
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.checks.shared import SCORES
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import assert_finite
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import pair_of_lengths


def large_logits_stay_finite(case):
    """Logits of about 1e4 neither overflow nor lose the winning key."""
    for call in (
        itself(use_causal_mask=True, value_mask=lengths_mask([7, 5], 7)),
        pair_of_lengths(case, harness.QUERY_LENGTH, harness.KEY_LENGTH),
    ):
        if not case.takes(call):
            continue
        layer = harness.built(case, call)
        names = harness.weight_names(layer)
        if "gravity/log_gravity" in names:
            variable = names["gravity/log_gravity"]
            variable.assign(ops.full(variable.shape, float(np.log(2e4))))
        else:
            # A shared projection of queries and keys is called "query".
            for name in {"query/kernel", "key/kernel"} & set(names):
                variable = names[name]
                variable.assign(ops.multiply(variable.value, 60.0))
        output, scores = case.expected(layer, call)
        for asked in ({}, SCORES)[: 1 + case.has_pairs]:
            got = harness.run(layer, {**call, **asked})
            assert_finite(got.output, "output")
            assert_close(got.output, output, "output at large logits", 2e-2)
        if case.has_pairs:
            assert_close(got.scores, scores, "scores at large logits", 2e-2)
        got = harness.run_with_gradients(layer, call, normal(*output.shape, seed=50))
        for name, gradient in got.gradients().items():
            assert_finite(gradient, f"gradient to {name} at large logits")


def features_of_any_size_count(case):
    """Queries and keys of any size give the same outputs as the loop, and not zero.

    In one call and in parts, with finite gradients.
    """
    real = lengths_mask([7, 5], 7)
    for factor, shift in ((1e-8, 0.0), (1.0, -40.0), (1.0, -150.0), (60.0, 0.0)):
        for call in (
            itself(use_causal_mask=True, query_mask=real, value_mask=real),
            pair_of_lengths(case, harness.QUERY_LENGTH, harness.KEY_LENGTH),
        ):
            layer = harness.built(case, call)
            for name, variable in harness.weight_names(layer).items():
                if name in ("query/kernel", "key/kernel", "query/bias", "key/bias"):
                    shifted = shift if name.endswith("bias") else 0.0
                    variable.assign(variable.value * factor + shifted)
            what = f"times {factor} plus {shift}"
            output, _ = case.reference(harness.weights_of(layer), call)
            got = harness.run(layer, call).output
            assert_close(got, output, f"output {what}", 2e-3)
            if "use_causal_mask" in call:
                state, parts = None, []
                for first, end in ((0, 3), (3, 4), (4, 7)):
                    part = itself(use_causal_mask=True, return_state=True)
                    x = call["query"][:, first:end]
                    masks = {"query_mask": real[:, first:end]}
                    masks["value_mask"] = masks["query_mask"]
                    part |= {"query": x, "value": x, **masks}
                    found, state = layer(**part, initial_state=state)
                    parts.append(harness.to_numpy(found))
                parts = np.concatenate(parts, axis=1)
                assert_close(parts, output, f"parts {what}", 2e-3)
            cotangent = normal(*output.shape, seed=53)
            got = harness.run_with_gradients(layer, call, cotangent)
            for name, gradient in got.gradients().items():
                assert_finite(gradient, f"gradient to {name} {what}")


def coincident_points_stay_exact(case):
    """Queries that equal a key give exact outputs and finite gradients."""
    x = normal(harness.BATCH, harness.QUERY_LENGTH, harness.QUERY_WIDTH, seed=51)
    x[:, 1] = x[:, 0]
    call = {"query": x, "value": x}
    layer = harness.built(case, call)
    names = harness.weight_names(layer)
    for kind in ("kernel", "bias"):
        if {f"query/{kind}", f"key/{kind}"} <= set(names):
            query, key = names[f"query/{kind}"], names[f"key/{kind}"]
            # Several query heads may share a key head, which may hold several keys.
            group = query.shape[-2] // key.shape[-2]
            first = key.value[..., : query.shape[-1]]
            query.assign(ops.repeat(first, group, axis=-2))
    equals = case.expected(layer, call)[0]
    got = harness.run_with_gradients(layer, call, normal(*equals.shape, seed=52))
    assert_close(got.output, equals, "output at coincident points")
    for name, gradient in got.gradients().items():
        assert_finite(gradient, f"gradient to {name} at coincident points")
