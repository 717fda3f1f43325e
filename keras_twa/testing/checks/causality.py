"""Under a causal mask, later steps do not affect earlier outputs."""

from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import normal


def future_leaves_past(case):
    """Under a causal mask, later keys change neither earlier outputs nor gradients.

    If the layer states that later steps may affect earlier outputs, then only the norms
    of later keys change, not their directions.
    """
    cut, options = 4, {}
    call = itself(use_causal_mask=True)
    changed = {name: x.copy() for name, x in harness.split(call, case.facts)[0].items()}
    for x in changed.values():
        if case.facts.prefix_invariant:
            x[:, cut:] = normal(*x[:, cut:].shape, seed=30, scale=5.0)
        else:
            x[:, cut:] *= 5.0
            options["use_bias"] = False
    if not case.facts.cross_attention:
        changed["value"] = changed["query"]
    layer = harness.built(case, call, **options)
    output = harness.run(layer, call).output
    assert_close(
        harness.run(layer, {**call, **changed}).output[:, :cut],
        output[:, :cut],
        "past outputs",
        1e-6,
    )
    cotangent = normal(*output.shape, seed=31)
    cotangent[:, cut:] = 0.0
    got = harness.run_with_gradients(layer, call, cotangent)
    for name, gradient in got.inputs.items():
        assert not gradient[:, cut:].any(), f"the past has a gradient to future {name}"
