"""With rates up to 2, the gated delta rule tracks the parity of a sequence of bits."""

import numpy as np
from keras import ops

from keras_twa.layers import GatedDeltaAttention

LENGTH = 150
START, ZERO, ONE = range(3)
# The logits of rates: 2 sigmoid(x) is 1, nearly 0, and nearly 2.
LOGITS = {START: 0.0, ZERO: -40.0, ONE: 40.0}


def tokens():
    """Return one-hot tokens `(1, T, 3)`, a start and random bits, and their parity."""
    bits = np.random.default_rng(0).integers(0, 2, LENGTH)
    kinds = np.where(bits == 1, ONE, ZERO)
    kinds[0] = START
    ones = np.cumsum(kinds == ONE)
    return np.eye(3, dtype="float32")[kinds][None], ones % 2


def by_hand(**options):
    """Return a layer that writes 1 at the start, and multiplies it at each bit."""
    layer = GatedDeltaAttention(1, 1, output_shape=1, **options)
    layer.build((1, None, 3))
    weights = {v.path.partition("/")[2]: v for v in layer.variables}
    for name, variable in weights.items():
        if name.endswith(("kernel", "bias")) and name != "decay_bias":
            variable.assign(ops.zeros(variable.shape))
    for name in ("query/bias", "key/bias", "gate/bias", "attention_output/kernel"):
        variable = weights[name]
        variable.assign(ops.ones(variable.shape))
    # Only the start has a value.
    weights["value/kernel"].assign(np.reshape([1.0, 0.0, 0.0], (3, 1, 1)))
    weights["beta/kernel"].assign(np.reshape([*LOGITS.values()], (3, 1, 1)))
    # The memory does not decay.
    weights["decay_bias"].assign([-40.0])
    return layer


def test_negative_eigenvalues_track_parity():
    x, parity = tokens()
    outputs = ops.convert_to_numpy(by_hand(negative_eigenvalues=True)(x))[0, :, 0]
    assert 50 < parity.sum() < 100
    np.testing.assert_array_equal(outputs < 0, parity == 1)
    np.testing.assert_allclose(np.abs(outputs), np.abs(outputs[0]), rtol=1e-2)


def test_rates_up_to_one_cannot():
    # Whatever the rates are, what the start wrote never changes its sign.
    rng = np.random.default_rng(1)
    x, _ = tokens()
    layer = by_hand()
    rates = next(v for v in layer.variables if v.path.endswith("beta/kernel"))
    for _ in range(5):
        rates.assign(rng.normal(size=(3, 1, 1), scale=3.0))
        assert ops.convert_to_numpy(layer(x)).min() > -1e-4
