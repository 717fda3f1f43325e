"""Under the policy float64, outputs are float64, with float32 accuracy at least."""

import keras
import numpy as np
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import itself


def float64_is_taken(case, tolerance=2e-5):
    """Outputs have the policy's dtype and equal the float64 loop.

    Softmax, decays and memories are computed in float32 under every policy, which
    limits the accuracy. Unless float64 is enabled in JAX, the policy means float32
    there.
    """
    for use_bias in (True, False):
        call = itself(use_causal_mask=case.facts.causality != "never")
        call = {name: _double(x) for name, x in call.items()}
        call["value"] = call["query"]
        layer = harness.built(case, call, dtype="float64", use_bias=use_bias)
        expected, _ = case.expected(layer, call)
        output = layer(**call)
        dtype = keras.backend.standardize_dtype(output.dtype)
        # JAX has no float64 unless it is enabled.
        wanted = keras.backend.standardize_dtype(ops.cast(1.0, "float64").dtype)
        assert dtype == wanted, f"an output of {dtype}"
        spec = layer.compute_output_spec(**call)
        dtype = keras.backend.standardize_dtype(spec.dtype)
        assert dtype == "float64", f"compute_output_spec says {dtype}"
        assert_close(harness.to_numpy(output), expected, "output", tolerance)


def _double(x):
    return x.astype("float64") if isinstance(x, np.ndarray) else x
