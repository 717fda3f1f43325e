"""Options and initial values of gated linear attention and of Mamba-2."""

import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.testing import harness
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import normal


@pytest.mark.parametrize(
    "options", [{"gate_rank": 0}, {"gate_normalizer": 0.0}, {"epsilon": -1.0}]
)
def test_gated_linear_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.GatedLinearAttention(2, 4, **options)


@pytest.mark.parametrize(
    "options", [{"num_groups": 0}, {"num_groups": 3}, {"epsilon": 0.0}]
)
def test_mamba2_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.Mamba2Attention(4, 4, **options)


def test_a_group_of_heads_shares_queries_and_keys():
    call = itself()
    layer, copied = (
        layers.Mamba2Attention(4, 5, 3, num_groups=groups) for groups in (2, 4)
    )
    for each in (layer, copied):
        each.build(call["query"].shape)
    harness.randomise(layer)
    weights, own = harness.weight_names(copied), harness.weight_names(layer)
    for name, variable in own.items():
        value = ops.convert_to_numpy(variable.value)
        if name.startswith(("query/", "key/")):
            value = np.repeat(value, 2, axis=-2)
        weights[name].assign(value)
    states = (each(**call, return_state=True)[1] for each in (layer, copied))
    shared, got = (harness.to_numpy(state["memory"]) for state in states)
    # The outputs differ, as each group is normalised on its own.
    harness.assert_close(got, shared, "memory")


def test_the_gate_normalizer_sets_how_long_the_memory_lasts():
    length, normalizers, kept = 30, (1.0, 16.0, 1000.0), []
    x = normal(1, length, 6)
    for normalizer in normalizers:
        layer = layers.GatedLinearAttention(2, 4, gate_normalizer=normalizer)
        _, state = layer(x, return_state=True)
        # Without keys, nothing is added.
        names = harness.weight_names(layer)
        names["key/kernel"].assign(ops.zeros(names["key/kernel"].shape))
        _, faded = layer(x, initial_state=state, return_state=True)
        before, after = (harness.to_numpy(s["memory"]) for s in (state, faded))
        kept.append((after / before).mean())
    np.testing.assert_allclose(kept, 0.5 ** (length / np.array(normalizers)), 1e-4)
