"""Padding has no effect, whatever it holds."""

import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import assert_finite
from keras_twa.testing.scenarios import cross
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import normal


def padding_is_inert(case, poison, causal=False):
    """Padding changes no valid output and no gradient, whatever it holds."""
    extra = 3
    masked = causal and case.facts.causality != "never"
    for call, masks in (
        (itself(use_causal_mask=masked), ("query_mask", "value_mask")),
        (cross(use_causal_mask=causal), ("value_mask",)),
        (cross(use_causal_mask=causal), ("key_mask",)),
    ):
        if not case.takes(call):
            continue
        tensors, _ = harness.split(call)
        lengths = {name: x.shape[1] for name, x in tensors.items()}
        layer = harness.built(case, call)
        shape = (*tensors["query"].shape[:2], layer(**call).shape[-1])
        cotangent = normal(*shape, seed=40)
        clean = harness.run_with_gradients(layer, call, cotangent)

        padded = dict(call)
        for name, x in tensors.items():
            if name == "query" and "query_mask" not in masks:
                continue
            tail = np.full((x.shape[0], extra, x.shape[2]), poison, "float32")
            # Causal masks align at the end, so padding must come first on both sides.
            parts = [tail, x] if causal else [x, tail]
            padded[name] = np.concatenate(parts, axis=1)
        if not case.facts.cross_attention:
            padded["value"] = padded["query"]
        for name in masks:
            side = "query" if name == "query_mask" else "value"
            real = np.ones((harness.BATCH, lengths[side]), bool)
            fill = np.zeros((harness.BATCH, extra), bool)
            parts = [fill, real] if causal else [real, fill]
            padded[name] = np.concatenate(parts, axis=1)
        # Padding at the start must not change the times of the other steps.
        for name, side in (("query_positions", "query"), ("key_positions", "value")):
            steps = np.arange(padded[side].shape[1], dtype="float32")
            moved = padded[side].shape[1] - lengths[side] if causal else 0
            padded[name] = steps - moved

        kept = {
            name: slice(-length, None) if causal else slice(length)
            for name, length in lengths.items()
        }
        padded_cotangent = np.zeros((*padded["query"].shape[:2], shape[-1]), "float32")
        padded_cotangent[:, kept["query"]] = cotangent
        got = harness.run_with_gradients(layer, padded, padded_cotangent)
        assert_close(
            got.output[:, kept["query"]],
            clean.output,
            f"valid outputs with {masks} and padding {poison}",
            1e-5,
        )
        for name, gradient in got.inputs.items():
            what = f"gradient to {name} with {masks} and padding {poison}"
            assert_finite(gradient, what)
            assert_close(gradient[:, kept[name]], clean.inputs[name], what)
            if padded[name].shape != tensors[name].shape:
                tail = gradient.copy()
                tail[:, kept[name]] = 0.0
                assert not tail.any(), f"{what} reaches the padding"
        for name, gradient in got.weights.items():
            what = f"gradient to weight {name} with {masks} and padding {poison}"
            assert_finite(gradient, what)
            assert_close(gradient, clean.weights[name], what)
