"""What every attention layer promises, one function per promise.

Each takes a case (a layer class, its options, its float64 loop) and raises an
AssertionError if the promise is broken. `test_contract.py` runs them on every layer,
`test_checks_catch_faults.py` on layers broken on purpose.
"""

import inspect
import json

import keras
import numpy as np
from keras import ops

from tests import references
from tests.contract import harness
from tests.contract.harness import HEADS
from tests.contract.harness import assert_close
from tests.contract.harness import assert_finite
from tests.contract.scenarios import cross
from tests.contract.scenarios import everything
from tests.contract.scenarios import itself
from tests.contract.scenarios import lengths_mask
from tests.contract.scenarios import normal
from tests.contract.scenarios import timestamps

SCORES = {"return_attention_scores": True}


# 1. The reference.


def equals_reference(case, call):
    """The output is that of the float64 loop, with and without the scores."""
    layer = harness.built(case, call)
    output, scores = case.reference(harness.weights_of(layer), call)
    assert_close(harness.run(layer, call).output, output, "output")
    explicit = harness.run(layer, {**call, **SCORES})
    assert_close(explicit.output, output, "output beside the scores")
    assert_close(explicit.scores, scores, "scores")


def equals_reference_in(case, scenarios):
    """The output is that of the float64 loop in all the scenarios."""
    for name, call in scenarios.items():
        try:
            equals_reference(case, call)
        except AssertionError as error:
            raise AssertionError(f"scenario {name!r}: {error}") from error


def equals_reference_at_length(case, query_length, key_length):
    """The output is that of the float64 loop at awkward lengths."""
    mask = np.ones((harness.BATCH, key_length), bool)
    mask[1, key_length // 2 + 1 :] = False
    for causal in (False, True):
        call = cross(query_length, key_length, value_mask=mask, use_causal_mask=causal)
        equals_reference(case, call)


def gradients_equal_reference(case, call=None):
    """Gradients to inputs and weights are those of the loop, along random lines."""
    call = everything() if call is None else call
    layer = harness.built(case, call)
    weights = harness.weights_of(layer)
    tensors, options = harness.split(call)
    output, _ = case.reference(weights, call)
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
        expected = references.directional_derivative(loss, arguments, name, direction)
        size = np.linalg.norm(gradient) * np.linalg.norm(direction)
        error = abs((gradient * direction).sum() - expected)
        assert error <= 2e-4 * size + 2e-5, (
            f"gradient to {name}: {(gradient * direction).sum()} != {expected}"
        )


# 2. Causality.


def future_leaves_past(case):
    """Under a causal mask, later keys change neither earlier outputs nor gradients."""
    cut = 4
    call = itself(use_causal_mask=True)
    changed = {name: x.copy() for name, x in harness.split(call)[0].items()}
    for x in changed.values():
        x[:, cut:] = normal(*x[:, cut:].shape, seed=30, scale=5.0)
    layer = harness.built(case, call)
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


# 3. Padding.


def padding_is_inert(case, poison, causal=False):
    """Padding of any content changes no valid output and no gradient."""
    extra = 3
    for call, masks in (
        (itself(use_causal_mask=causal), ("query_mask", "value_mask")),
        (cross(use_causal_mask=causal), ("value_mask",)),
        (cross(use_causal_mask=causal), ("key_mask",)),
    ):
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
        for name in masks:
            side = "query" if name == "query_mask" else "value"
            real = np.ones((harness.BATCH, lengths[side]), bool)
            fill = np.zeros((harness.BATCH, extra), bool)
            parts = [fill, real] if causal else [real, fill]
            padded[name] = np.concatenate(parts, axis=1)
        # Padding in front must not move the clock.
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


# 4. Rows that see nothing.


def masked_rows_give_zero(case):
    """A query without a visible key gives 0, whatever hides the keys."""
    batch, queries, keys = harness.BATCH, harness.QUERY_LENGTH, harness.KEY_LENGTH
    pairs = np.ones((batch, queries, keys), bool)
    pairs[1, 3] = False
    empty = np.zeros((batch, queries), bool)
    for call, rows in (
        (cross(attention_mask=pairs), ~pairs.any(-1)),
        (cross(value_mask=lengths_mask([0, 5], keys)), empty | [[True], [False]]),
        (cross(key_mask=lengths_mask([0, 5], keys)), empty | [[True], [False]]),
        (
            cross(query_mask=lengths_mask([7, 4], queries)),
            ~lengths_mask([7, 4], queries),
        ),
        (cross(use_causal_mask=True), empty | (np.arange(queries) < queries - keys)),
        (
            itself(value_mask=~lengths_mask([2, 3], queries), use_causal_mask=True),
            lengths_mask([2, 3], queries),
        ),
    ):
        what = f"rows masked by {set(call) - set(harness.TENSORS)}"
        layer = harness.built(case, call)
        for name, variable in harness.weight_names(layer).items():
            # With these at zero, what the layer makes of nothing is 0.
            if name.endswith(("bias", "beta")) and "temporal" not in name:
                variable.assign(ops.zeros(variable.shape))
        scored = harness.run(layer, {**call, **SCORES})
        cotangent = normal(*scored.output.shape, seed=41)
        got = harness.run_with_gradients(layer, call, cotangent)
        for output in (scored.output, got.output):
            assert_finite(output, what)
            assert not output[rows].any(), f"{what} are not 0: {output[rows]}"
            assert np.abs(output[~rows]).max() > 1e-3, f"{what}: all the others are 0"
        unseen = np.broadcast_to(rows[:, None], scored.scores.shape[:3])
        assert not scored.scores[unseen].any(), f"{what} have weights"
        for name, gradient in got.gradients().items():
            assert_finite(gradient, f"gradient to {name} with {what}")


# Extreme numbers.


def large_logits_stay_finite(case):
    """Logits of about 1e4 neither overflow nor lose the winning key."""
    for call in (
        itself(use_causal_mask=True, value_mask=lengths_mask([7, 5], 7)),
        cross(),
    ):
        layer = harness.built(case, call)
        names = harness.weight_names(layer)
        if "gravity/log_gravity" in names:
            variable = names["gravity/log_gravity"]
            variable.assign(ops.full(variable.shape, float(np.log(2e4))))
        else:
            for name in ("query/kernel", "key/kernel"):
                variable = names[name]
                variable.assign(ops.multiply(variable.value, 60.0))
        output, scores = case.reference(harness.weights_of(layer), call)
        for asked in ({}, SCORES):
            got = harness.run(layer, {**call, **asked})
            assert_finite(got.output, "output")
            assert_close(got.output, output, "output at large logits", 2e-2)
        assert_close(got.scores, scores, "scores at large logits", 2e-2)
        got = harness.run_with_gradients(layer, call, normal(*output.shape, seed=50))
        for name, gradient in got.gradients().items():
            assert_finite(gradient, f"gradient to {name} at large logits")


def coincident_points_stay_exact(case):
    """Queries that equal a key get the exact weight, and a finite gradient."""
    x = normal(harness.BATCH, harness.QUERY_LENGTH, harness.QUERY_WIDTH, seed=51)
    x[:, 1] = x[:, 0]
    call = {"query": x, "value": x}
    layer = harness.built(case, call)
    names = harness.weight_names(layer)
    for kind in ("kernel", "bias"):
        if f"query/{kind}" in names:
            names[f"query/{kind}"].assign(names[f"key/{kind}"].value)
    equals = case.reference(harness.weights_of(layer), call)[0]
    got = harness.run_with_gradients(layer, call, normal(*equals.shape, seed=52))
    assert_close(got.output, equals, "output at coincident points")
    for name, gradient in got.gradients().items():
        assert_finite(gradient, f"gradient to {name} at coincident points")


# 7. Precision.


def half_precision_is_close(case, dtype):
    """A mixed policy gives halves close to float32, with finite gradients."""
    tolerance = {"mixed_float16": 1e-2, "mixed_bfloat16": 6e-2}[dtype]
    call = everything()
    exact = harness.built(case, call)
    layer = harness.built(case, call, dtype=dtype)
    harness.copy_weights(exact, layer)
    expected = harness.run(exact, {**call, **SCORES})
    output, scores = layer(**call, **SCORES)
    half = keras.DTypePolicy(dtype).compute_dtype
    assert keras.backend.standardize_dtype(output.dtype) == half
    for variable in layer.variables:
        assert variable.dtype != half, f"{variable.path} is kept in {half}"
    assert_half_close(harness.to_numpy(output), expected.output, "output", tolerance)
    assert_half_close(harness.to_numpy(scores), expected.scores, "scores", tolerance)
    output = harness.run(layer, call).output
    assert_half_close(output, expected.output, "output without scores", tolerance)
    cotangent = normal(*output.shape, seed=60)
    expected = harness.run_with_gradients(exact, call, cotangent).gradients()
    got = harness.run_with_gradients(layer, call, cotangent).gradients()
    # A gradient that cancels to nothing still has the rounding of its parts.
    least = 0.1 * max(np.abs(want).max() for want in expected.values())
    for name, gradient in got.items():
        what = f"gradient to {name}"
        assert_half_close(gradient, expected[name], what, 5 * tolerance, least)


def assert_half_close(actual, expected, what, tolerance, least=1e-2):
    """Assert that the error is small beside the largest entry."""
    assert_finite(actual, what)
    error = np.abs(actual - expected).max()
    size = max(np.abs(expected).max(), least)
    assert error <= tolerance * size, f"{what} is off by {error} of {size}"


def half_precision_does_not_overflow(case):
    """Large inputs stay finite in float16: no logit is formed in halves."""
    call = itself()
    layer = harness.built(case, call, dtype="mixed_float16")
    for name in ("query/kernel", "key/kernel"):
        variable = harness.weight_names(layer)[name]
        variable.assign(ops.multiply(variable.value, 200.0))
    output = harness.run(layer, call).output
    assert_finite(output, "output")
    got = harness.run_with_gradients(layer, call, normal(*output.shape, seed=61))
    for name, gradient in got.inputs.items():
        assert not np.isnan(gradient).any(), f"gradient to {name} is NaN"


def timestamps_keep_their_precision(case):
    """Times near a million, in a bfloat16 policy, still tell neighbours apart."""
    steps = np.cumsum([3, 50, 9, 40, 30, 70, 20]).astype("float32")
    positions = {"query_positions": 1e6 + steps, "key_positions": 1e6 + steps}
    call = itself(**positions)
    options = {}
    if "time_scale" in case.options:
        options["time_scale"] = 100.0
    exact = harness.built(case, call, **options)
    names = harness.weight_names(exact)
    if "temporal_function/slope" in names:
        on_keys = case.options.get("applies_to", "key") == "key"
        names["temporal_function/slope"].assign([3.0, -2.0])
        names["temporal_function/offset"].assign(
            [-3.0e4, 2.0e4] if on_keys else [0.0, 0.0]
        )
    if "timescales/discount_logits" in names:
        logits = names["timescales/discount_logits"]
        logits.assign(ops.full(logits.shape, 4.0))
    layer = harness.built(case, call, dtype="mixed_bfloat16", **options)
    harness.copy_weights(exact, layer)
    want = harness.run(exact, {**call, **SCORES})
    got = harness.run(layer, {**call, **SCORES})
    assert_half_close(got.scores, want.scores, "scores at large times", 6e-2)
    rounded = {name: x - 1e6 for name, x in positions.items()}
    if "temporal_function/slope" in names and on_keys:
        names["temporal_function/offset"].assign([0.0, 0.0])
    call = {**call, **rounded, **options}
    output, scores = case.reference(harness.weights_of(exact), call)
    # Float32 has steps of 1/16 at a million; that much may be lost, and no more.
    assert_half_close(want.scores, scores, "float32 scores at large times", 2e-2)
    assert_half_close(want.output, output, "float32 output at large times", 2e-2)


# Dropout.


def dropout_is_sound(case):
    """Dropped weights keep their expectation, only in training, seeded, fresh."""
    call = cross(batch=1)
    copies = 600
    many = {name: np.repeat(x, copies, axis=0) for name, x in call.items()}
    layer = harness.built(case, call, dropout=0.3, seed=7)
    twin = harness.built(case, call, dropout=0.3, seed=7)
    plain = harness.built(case, call)
    for other in (layer, twin):
        harness.copy_weights(plain, other)

    want = harness.run(plain, call).output
    at_rest = harness.run(layer, {**call, "training": False}).output
    assert_close(at_rest, want, "output at inference", 1e-5)
    first = harness.run(layer, {**many, "training": True}).output
    assert_finite(first, "output with dropout")
    assert first.std(axis=0).max() > 1e-3, "dropout drops nothing"
    second = harness.run(layer, {**many, "training": True}).output
    assert np.abs(first - second).max() > 1e-3, "two steps drop the same weights"
    same = harness.run(twin, {**many, "training": True}).output
    assert_close(same, first, "output with the same seed", 1e-6)
    if "timescales/expand/kernel" not in harness.weight_names(layer):
        # Behind a decoder, which is not linear, the expectation says nothing.
        noise = first.std(axis=0) / np.sqrt(copies)
        error = np.abs(first.mean(axis=0) - want[0])
        assert (error <= 5 * noise + 1e-4).all(), "dropout moves the expectation"


def dropout_drops_whole_weights(case):
    """Each weight is dropped or scaled by 1/(1 - rate), at the stated rate.

    For layers without a decoder: there the output shows the weights themselves.
    """
    rate, keys = 0.3, 4
    heads = {"num_heads": 1, "key_dim": keys, "value_dim": keys, "use_bias": False}
    call = {
        "query": normal(50, 9, keys, seed=70),
        "value": np.broadcast_to(np.eye(keys, dtype="float32"), (50, keys, keys)),
    }
    layer = case.make(**heads, dropout=rate, seed=3)
    layer.build(query_shape=(50, 9, keys), value_shape=(50, keys, keys))
    eye = np.eye(keys, dtype="float32")
    names = harness.weight_names(layer)
    # Values and the output projection are the identity: the output is the weights.
    names["value/kernel"].assign(eye[:, None, :])
    names["attention_output/kernel"].assign(eye[None])
    scores = harness.run(layer, {**call, **SCORES}).scores[:, 0]
    dropped = harness.run(layer, {**call, "training": True}).output
    kept = np.abs(dropped) > 1e-7
    assert_close(dropped[kept], scores[kept] / (1 - rate), "kept weights", 1e-3)
    assert abs(kept.mean() - (1 - rate)) < 0.05, f"{1 - kept.mean()} are dropped"


def dropout_has_its_own_gradient(case):
    """The gradient belongs to the very weights that were dropped in the output."""
    call = {**everything(), "training": True}

    def output_at(shift):
        layer = harness.built(case, call, dropout=0.4, seed=5)
        moved = {**call}
        for name, direction in directions.items():
            moved[name] = call[name] + shift * direction
        return (harness.run(layer, moved).output * cotangent).sum(dtype="float64")

    tensors, _ = harness.split(call)
    directions = {
        name: normal(*x.shape, seed=80 + i)
        for i, (name, x) in enumerate(tensors.items())
    }
    layer = harness.built(case, call, dropout=0.4, seed=5)
    shape = harness.run(harness.built(case, call), {**call, "training": False})
    cotangent = normal(*shape.output.shape, seed=81)
    got = harness.run_with_gradients(layer, call, cotangent)
    slope = sum((got.inputs[name] * d).sum() for name, d in directions.items())
    step = 1e-3
    expected = (output_at(step) - output_at(-step)) / (2 * step)
    size = sum(np.linalg.norm(g) for g in got.inputs.values())
    error = abs(slope - expected)
    assert error <= 2e-2 * size + 1e-2, f"slope {slope} is not {expected}"


# 8. Keras.


def config_round_trips(case):
    """The config rebuilds the layer, through JSON too, and holds every argument."""
    overrides = {
        "dropout": 0.25,
        "seed": 11,
        "kernel_initializer": "he_normal",
        "bias_initializer": "ones",
        "kernel_regularizer": "l2",
        "bias_regularizer": "l1",
        "activity_regularizer": "l2",
        "kernel_constraint": "max_norm",
        "bias_constraint": "non_neg",
        "name": "the_layer",
        "dtype": "mixed_bfloat16",
        "trainable": False,
    }
    if "output_shape" not in case.options:
        overrides["output_shape"] = 4
    if "value_dim" not in case.options:
        overrides["value_dim"] = 5
    layer = case.make(**overrides)
    config = layer.get_config()
    arguments = inspect.signature(case.layer.__init__).parameters.values()
    names = {a.name for a in arguments if a.kind is a.POSITIONAL_OR_KEYWORD} - {"self"}
    missing = {*names, "name", "dtype", "trainable"} - set(config)
    assert not missing, f"the config lacks {missing}"
    rebuilt = case.layer.from_config(config)
    assert_same_config(rebuilt.get_config(), config)
    for name in ("dropout", "seed", "name", "trainable"):
        assert config[name] == overrides[name], f"{name}: {config[name]}"
    text = json.dumps(keras.saving.serialize_keras_object(case.make(**overrides)))
    loaded = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(loaded) is case.layer
    assert_same_config(loaded.get_config(), config)

    call = everything()
    original = harness.built(case, call)
    twin = case.layer.from_config(original.get_config())
    shapes = {f"{n}_shape": np.shape(call[n]) for n in harness.TENSORS if n in call}
    twin.build(**shapes)
    harness.copy_weights(original, twin)
    want, got = harness.run(original, call), harness.run(twin, call)
    assert_close(got.output, want.output, "output of the rebuilt layer", 1e-6)


def assert_same_config(actual, expected):
    """Assert that two configs are the same data, lists and tuples alike."""

    def plain(config):
        serialized = keras.saving.serialize_keras_object(config)
        return json.loads(json.dumps(serialized))

    assert plain(actual) == plain(expected)


def saves_and_loads(case, folder):
    """A model with the layer gives the same output after a trip through a file."""
    model = functional_model(case)
    randomise_model(model)
    path = folder / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    tokens = small_tokens()
    want, got = (harness.to_numpy(m(tokens)) for m in (model, loaded))
    assert_close(got, want, "output of the loaded model", 1e-6)
    layer, again = (m.get_layer("attention") for m in (model, loaded))
    assert type(again) is case.layer
    assert_same_config(again.get_config(), layer.get_config())
    want, got = harness.weights_of(layer), harness.weights_of(again)
    assert set(got) == set(want)
    for name, weight in want.items():
        np.testing.assert_array_equal(got[name], weight, name)
    own = not isinstance(case.options.get("temporal_function"), keras.Layer)
    if own:  # the paths inside a layer of the user's are up to the user
        paths = [sorted(v.path for v in x.variables) for x in (layer, again)]
        assert paths[0] == paths[1], "the weights' paths change with every layer"


def randomise_model(model, seed=90):
    """Give every trainable weight of a model random noise on top."""
    harness.randomise(model, seed, scale=0.3)


def small_tokens(batch=4, length=6):
    """Return token ids with trailing padding (0)."""
    tokens = np.random.default_rng(0).integers(1, 9, size=(batch, length))
    for row, real in enumerate(np.linspace(2, length, batch).astype(int)):
        tokens[row, real:] = 0
    return tokens.astype("int32")


def functional_model(case, length=None, **call):
    """Return embedding, self-attention, pooling, logits; any length by default."""
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(9, harness.QUERY_WIDTH, mask_zero=True)(tokens)
    x = case.make(name="attention")(x, x, **call)
    flat = len(x.shape) == 3
    pooling = "GlobalAveragePooling1D" if flat else "GlobalAveragePooling2D"
    x = getattr(keras.layers, pooling)()(x)
    return keras.Model(tokens, keras.layers.Dense(3, name="logits")(x))


def fits_at_unknown_length(case):
    """A compiled step of `fit` moves every trainable weight, at any length."""
    model = functional_model(case)
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
        assert np.isfinite(history.history["loss"]).all()
    after = harness.weights_of(layer)
    trainable = [n for n, v in harness.weight_names(layer).items() if v.trainable]
    still = [n for n in trainable if np.array_equal(before[n], after[n])]
    # softmax(q . (k + b)) does not depend on b.
    assert set(still) <= {"key/bias"}, f"fit did not move {still}"


def symbolic_equals_eager(case):
    """`compute_output_spec` and symbolic calls state the true shapes and dtypes."""
    for dtype in ("float32", "mixed_bfloat16"):
        for call in (everything(), {**everything(), **SCORES}, itself(), cross(4, 9)):
            layer = harness.built(case, call, dtype=dtype)
            eager = layer(**call)
            tensors, options = harness.split(call)
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
            assert tuple(output.shape) == (None, None, *whole.shape[2:])


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
    """An embedding's mask hides its padding, and goes on to the next layer."""
    tokens = small_tokens(batch=2)
    real = tokens != 0
    embed = keras.layers.Embedding(9, harness.QUERY_WIDTH, mask_zero=True)
    x = embed(tokens)
    layer = harness.built(case, {"query": x, "value": x})
    got = layer(x, x)
    want = layer(
        ops.convert_to_tensor(harness.to_numpy(x)),
        ops.convert_to_tensor(harness.to_numpy(x)),
        query_mask=real,
        value_mask=real,
    )
    assert_close(harness.to_numpy(got), harness.to_numpy(want), "output", 1e-6)
    unmasked = layer(*[ops.convert_to_tensor(harness.to_numpy(x)) for _ in range(2)])
    moved = np.abs(harness.to_numpy(unmasked) - harness.to_numpy(want)).max()
    assert moved > 1e-4, "the mask changes nothing"
    assert layer.supports_masking
    pooled = keras.layers.GlobalAveragePooling1D()(got)
    mean = [
        row[keep].mean(axis=0)
        for row, keep in zip(harness.to_numpy(want), real, strict=True)
    ]
    assert_close(harness.to_numpy(pooled), np.stack(mean), "masked mean", 1e-5)


# 10. Bad input.


def bad_calls():
    """Return calls that must be refused, by name."""
    batch, queries, keys = harness.BATCH, harness.QUERY_LENGTH, harness.KEY_LENGTH
    ones = np.ones
    return {
        "query of rank 2": {**cross(), "query": normal(batch, 6)},
        "value of rank 4": {**cross(), "value": normal(batch, keys, 3, 1)},
        "key of another length": cross(key=normal(batch, keys + 1, 3)),
        "value of another batch": {**cross(), "value": normal(batch + 1, keys, 3)},
        "query_mask of key length": cross(query_mask=ones((batch, keys), bool)),
        "value_mask of query length": cross(value_mask=ones((batch, queries), bool)),
        "key_mask of rank 3": cross(key_mask=ones((batch, keys, 1), bool)),
        "key_mask of another batch": cross(key_mask=ones((batch + 1, keys), bool)),
        "pairs of the wrong shape": cross(
            attention_mask=ones((batch, keys, queries), bool)
        ),
        "pairs of too many heads": cross(
            attention_mask=ones((batch, HEADS + 1, queries, keys), bool)
        ),
        "pairs of rank 5": cross(
            attention_mask=ones((batch, 1, 1, queries, keys), bool)
        ),
        "query positions of key length": cross(query_positions=timestamps(keys)),
        "key positions of query length": cross(key_positions=timestamps(queries)),
        "key positions of another batch": cross(
            key_positions=timestamps(batch + 1, keys)
        ),
        "positions of rank 3": cross(query_positions=ones((batch, queries, 1))),
    }


BAD_OPTIONS = {
    "no heads": {"num_heads": 0},
    "negative heads": {"num_heads": -1},
    "heads of a float": {"num_heads": 2.5},
    "no key width": {"key_dim": 0},
    "negative value width": {"value_dim": -3},
    "empty output": {"output_shape": 0},
    "empty output shape": {"output_shape": (4, 0)},
    "dropout of 1": {"dropout": 1.0},
    "dropout below 0": {"dropout": -0.1},
}


def refuses_bad_options(case, options):
    """A bad argument raises a ValueError that shows it, at construction."""
    assert_refused(lambda: case.make(**options))


def refuses_bad_call(case, call):
    """A bad call raises a ValueError that shows it, before anything is computed."""
    assert_refused(lambda: case.make()(**call))

    def symbolic():
        tensors, options = harness.split(call)
        tensors = {n: keras.KerasTensor(x.shape) for n, x in tensors.items()}
        options = {
            n: keras.KerasTensor(x.shape, dtype=str(x.dtype))
            if hasattr(x, "shape")
            else x
            for n, x in options.items()
        }
        case.make()(**tensors, **options)

    assert_refused(symbolic)


def assert_refused(action):
    """Assert that `action` raises a ValueError that says what it received."""
    try:
        action()
    except ValueError as error:
        assert "Received:" in str(error), f"the message shows no value: {error}"
    except Exception as error:
        kind = type(error).__name__
        raise AssertionError(f"{kind}, not ValueError: {error}") from error
    else:
        raise AssertionError("nothing was raised")
