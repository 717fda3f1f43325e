"""Under the policy float64, outputs are float64, and as exact as a float32 core."""

import keras
import numpy as np
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import itself


def float64_is_taken(case, tolerance=2e-5):
    """Outputs have the policy's dtype, weights as well, and equal the float64 loop.

    Softmax, decays and memories are computed in float32 under every policy: so they are
    no closer than that. JAX has no float64 unless it is told to, and the policy means
    float32 then.
    """
    for use_bias in (True, False):
        call = itself(use_causal_mask=case.layer.causality != "never")
        call = {name: _double(x) for name, x in call.items()}
        call["value"] = call["query"]
        layer = harness.built(case, call, dtype="float64", use_bias=use_bias)
        expected, _ = case.expected(layer, call)
        output = layer(**call)
        dtype = keras.backend.standardize_dtype(output.dtype)
        # JAX has no float64 unless it is told to.
        wanted = keras.backend.standardize_dtype(ops.cast(1.0, "float64").dtype)
        assert dtype == wanted, f"an output of {dtype}"
        spec = layer.compute_output_spec(**call)
        dtype = keras.backend.standardize_dtype(spec.dtype)
        assert dtype == "float64", f"compute_output_spec says {dtype}"
        assert_close(harness.to_numpy(output), expected, "output", tolerance)


def _double(x):
    return x.astype("float64") if isinstance(x, np.ndarray) else x
