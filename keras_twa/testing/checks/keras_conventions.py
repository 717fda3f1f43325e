"""A layer trains in `fit`, states its shapes and passes masks on, as in Keras."""

import keras
import numpy as np
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.checks.shared import SCORES
from keras_twa.testing.checks.shared import functional_model
from keras_twa.testing.checks.shared import randomise_model
from keras_twa.testing.checks.shared import small_tokens
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import assert_finite
from keras_twa.testing.scenarios import everything_for
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import pair_of_lengths


def fits_at_unknown_length(case, causal=False):
    """A compiled step of `fit` changes every trainable weight, at any length."""
    model = functional_model(case, use_causal_mask=causal)
    randomise_model(model)
    model.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    layer = model.get_layer("attention")
    before = harness.weights_of(layer)
    for length in (6, 5):
        tokens = small_tokens(length=length)
        labels = np.arange(len(tokens)) % 3
        history = model.fit(tokens, labels, batch_size=4, epochs=1, verbose=0)
        assert_finite(np.array(history.history["loss"]), "loss of fit")
    after = harness.weights_of(layer)
    trainable = [n for n, v in harness.weight_names(layer).items() if v.trainable]
    still = [n for n in trainable if np.array_equal(before[n], after[n])]
    # softmax(q . (k + b)) does not depend on b.
    assert set(still) <= {"key/bias"}, f"fit did not move {still}"


def symbolic_equals_eager(case):
    """`compute_output_spec` and symbolic calls state the true shapes and dtypes."""
    for dtype in ("float32", "mixed_bfloat16"):
        full = everything_for(case)
        scored = {**full, **SCORES} if case.has_pairs else full
        for call in (full, scored, itself(), pair_of_lengths(case, 4, 9)):
            layer = harness.built(case, call, dtype=dtype)
            eager = layer(**call)
            tensors, options = harness.split(call, case.facts)
            symbols = {n: keras.KerasTensor(x.shape) for n, x in tensors.items()}
            for fresh in (layer, case.make(dtype=dtype)):
                symbolic = fresh(**symbols, **options)
                assert_same_structure(symbolic, eager, "a symbolic call")
            spec = layer.compute_output_spec(**symbols, **options)
            assert_same_structure(spec, eager, "compute_output_spec")
            free = {
                n: keras.KerasTensor((None, None, x.shape[-1]))
                for n, x in tensors.items()
            }
            options = {
                k: v for k, v in options.items() if k.startswith(("use", "return"))
            }
            symbolic = case.make(dtype=dtype)(**free, **options)
            output = symbolic[0] if isinstance(symbolic, (tuple, list)) else symbolic
            whole = eager[0] if isinstance(eager, (tuple, list)) else eager
            shape = (None, None, *whole.shape[2:])
            assert tuple(output.shape) == shape, f"a symbolic call says {output.shape}"


def assert_same_structure(symbolic, eager, what):
    """Assert equal nesting, shapes and dtypes."""
    pairs = [(symbolic, eager)]
    if isinstance(eager, (tuple, list)):
        assert isinstance(symbolic, (tuple, list)), f"{what} gives one tensor"
        assert len(symbolic) == len(eager), f"{what} gives {len(symbolic)} tensors"
        pairs = zip(symbolic, eager, strict=True)
    for claimed, true in pairs:
        assert tuple(claimed.shape) == tuple(true.shape), (
            f"{what} says {claimed.shape}, the layer gives {true.shape}"
        )
        dtypes = [keras.backend.standardize_dtype(x.dtype) for x in (claimed, true)]
        assert dtypes[0] == dtypes[1], f"{what} says {dtypes[0]}, not {dtypes[1]}"


def masks_propagate(case):
    """An embedding's mask hides its padding and is passed on to the next layer."""
    tokens = small_tokens(batch=2)
    real = tokens != 0
    embed = keras.layers.Embedding(9, harness.QUERY_WIDTH, mask_zero=True)
    x = embed(tokens)
    layer = harness.built(case, {"query": x, "value": x})
    got = layer(x, x)
    plain = ops.convert_to_tensor(harness.to_numpy(x))
    want = layer(plain, plain, query_mask=real, value_mask=real)
    assert_close(harness.to_numpy(got), harness.to_numpy(want), "output", 1e-6)
    unmasked = layer(plain, plain)
    moved = np.abs(harness.to_numpy(unmasked) - harness.to_numpy(want)).max()
    assert moved > 1e-4, "the mask changes nothing"
    assert layer.supports_masking, "`supports_masking` is not set"
    pooled = keras.layers.GlobalAveragePooling1D()(got)
    mean = [
        row[keep].mean(axis=0)
        for row, keep in zip(harness.to_numpy(want), real, strict=True)
    ]
    assert_close(harness.to_numpy(pooled), np.stack(mean), "masked mean", 1e-5)
