"""Keras's own tests of its attention layers, for each of our layers.

Left out are tests of private names, and of a causal mask with fewer keys than queries:
Keras aligns it with the first key, our layers with the last.
"""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.masks import carried_mask
from keras_twa.testing import harness
from keras_twa.testing.harness import to_numpy
from keras_twa.testing.scenarios import normal
from tests.contract.cases import PLAIN
from tests.contract.cases import WITH_CROSS
from tests.contract.cases import WITH_PAIRS
from tests.contract.marks import on_some
from tests.contract.marks import seldom

CAUSAL = [case for case in WITH_PAIRS if case.facts.causality == "optional"]
QUANTIZED = [case for case in PLAIN if case.id in ("dot_product", "lsh", "rwkv")]
DENSE = ("query_dense", "key_dense", "value_dense", "output_dense")


def mostly_on_torch(cases):
    """Mark all cases but one as slow on JAX and TensorFlow."""
    return [cases[0], *seldom(cases[1:])]


def named(**params):
    """Parametrise a test by named values."""
    return pytest.mark.parametrize("given", [*params.values()], ids=[*params])


def pair(case, query, value):
    """Return a query and a value, or the query twice without cross-attention."""
    query = normal(*query)
    return query, normal(*value, seed=1) if case.facts.cross_attention else query


def close(got, want, tolerance=1e-5):
    """Assert that two tensors agree."""
    np.testing.assert_allclose(
        to_numpy(got), to_numpy(want), rtol=tolerance, atol=tolerance
    )


def built(layer, *shapes):
    """Return the layer, built and with random weights."""
    layer.build(*shapes)
    harness.randomise(layer)
    return layer


@named(
    defaults={},
    sizes={"value_dim": 4, "use_bias": False},
    dropout={"dropout": 0.5, "use_bias": False},
)
@on_some(mostly_on_torch(PLAIN))
def test_basics(case, given):
    if case.id == "rwkv" and "value_dim" in given:
        with pytest.raises(ValueError, match="Version 4"):
            case.make(**{**given, "value_dim": 3})
        return
    if "dropout" in given and not case.has_pairs:
        with pytest.raises(ValueError, match=r"Received: dropout=0\.5"):
            case.make(**given)
        return
    layer = case.make(**given)
    query, value = pair(case, (2, 8, 16), (2, 4, 16))
    symbols = [keras.KerasTensor(x.shape) for x in (query, value)]
    symbols[1] = symbols[value is not query]
    assert layer.supports_masking
    assert tuple(layer(query, value).shape) == layer(*symbols).shape == (2, 8, 16)
    assert layer.losses == []
    # Query, key, value and output, each with its own kernel and perhaps a bias.
    count = {True: 8, False: 4}[layer.use_bias] - 2 * (case.id == "lsh")
    assert len(layer.trainable_weights) >= count
    assert layer.__class__.from_config(layer.get_config()).get_config() == (
        layer.get_config()
    )
    if case.id == "dot_product":
        assert len(layer.trainable_weights) == count
        seeds = [v for v in layer.variables if "seed" in v.path]
        assert len(seeds) == ("dropout" in given)


@named(
    one_axis_of_two=((3, 4), (3, 2), (2,)),
    two_axes_of_two=((3, 4), (3, 2), (1, 2)),
    two_axes_of_three=((5, 3, 4), (5, 3, 2), (2, 3)),
)
@on_some(mostly_on_torch(PLAIN))
def test_high_dim_attention(case, given):
    of_query, of_value, axes = given
    query, value = pair(case, (3, *of_query, 8), (3, *of_value, 8))
    layer = case.make(attention_axes=axes)
    assert tuple(layer(query, value).shape) == query.shape
    loaded = case.layer.from_config(layer.get_config())
    loaded.build(query.shape, value.shape)
    assert len(loaded.weights) == len(layer.weights)


@on_some(mostly_on_torch(PLAIN))
def test_attention_axes_negative_indexing(case):
    x = normal(2, 3, 8, 4)
    layers = [built(case.make(attention_axes=axis), x.shape) for axis in (2, -2)]
    positive, negative = layers
    for one, other in zip(negative.variables, positive.variables, strict=True):
        one.assign(other.value)
    close(positive(x), negative(x))
    if case.has_pairs:
        scores = [y(x, return_attention_scores=True)[1] for y in layers]
        assert tuple(scores[0].shape[-2:]) == (8, 8)
        close(*scores)


@named(
    without_key=((4, 8), (2, 8), None, None),
    with_key=((4, 8), (2, 8), (2, 3), None),
    another_width=((4, 8), (2, 8), None, 3),
    another_shape=((4, 8), (2, 8), None, (3, 4)),
    with_key_another_shape=((4, 8), (2, 8), (2, 3), (1, 5)),
    more_axes=((4, 2, 3, 8), (1, 1, 5, 8), (1, 1, 5, 2), None),
    more_axes_another_shape=((4, 2, 3, 8), (1, 1, 5, 8), (1, 1, 5, 2), (3, 2)),
    other_widths=((4, 2, 3, 8), (4, 2, 3, 7), (4, 2, 3, 8), None),
)
@on_some(mostly_on_torch(PLAIN))
def test_compute_output_shape(case, given):
    *shapes, output_shape = given
    shapes = [(7, *shape) for shape in shapes if shape is not None]
    if not case.facts.cross_attention:
        shapes = shapes[:1]
    layer = case.make(output_shape=output_shape)
    if len(shapes) == 1:
        x = normal(*shapes[0])
        output = layer(x, x)
        shapes *= 2
    else:
        output = layer(*(normal(*shape) for shape in shapes))
    assert tuple(output.shape) == layer.compute_output_shape(*shapes)
    assert tuple(output.shape) == layer.compute_output_shape(*map(list, shapes))


@named(
    a_key_without_axes=((2, 4, 8), (2, 2, 7), (2,)),
    key_and_value=((2, 4, 8), (2, 2, 8), (2, 1, 7)),
    key_and_value_of_more_axes=((2, 4, 2, 3, 8), (2, 1, 1, 5, 8), (2, 1, 15, 5, 2)),
)
@on_some(WITH_CROSS)
def test_shape_mismatch_error(case, given):
    with pytest.raises(ValueError, match="must have the same"):
        case.make().compute_output_shape(*given)
    with pytest.raises(ValueError, match="must have the same"):
        case.make()(*(np.ones(shape) for shape in given))


@pytest.mark.parametrize("name", ["num_heads", "key_dim", "value_dim"])
@on_some(PLAIN)
def test_invalid_scalar_args_rejected(case, name):
    for bad in (0, -2, 1.5):
        with pytest.raises(ValueError, match=f"argument `{name}`"):
            case.make(**{name: bad})


@on_some(PLAIN)
def test_initializer(case):
    truncated = keras.initializers.TruncatedNormal(stddev=0.02)
    layer = case.make(kernel_initializer=truncated)
    layer.build((2, 4, 8), (2, 4, 8))
    found = [getattr(layer, name, None) for name in DENSE]
    kernels = [to_numpy(x.kernel) for x in found if x is not None]
    assert len(kernels) >= 3
    for i, kernel in enumerate(kernels):
        for other in kernels[:i]:
            assert kernel.shape != other.shape or not np.allclose(kernel, other)


@on_some(mostly_on_torch(PLAIN))
def test_query_mask_propagation(case):
    tokens = np.array([[1, 2, 3, 0, 0], [3, 3, 1, 1, 2], [1, 0, 0, 0, 0]])
    x = keras.layers.Embedding(4, 8, mask_zero=True)(tokens)
    output = case.make()(x, x)
    mask = carried_mask(output)
    np.testing.assert_array_equal(ops.convert_to_numpy(mask), tokens != 0)


@pytest.mark.parametrize("causal", [False, True])
@on_some(mostly_on_torch(CAUSAL))
def test_masking(case, causal):
    tokens = np.array([[1, 2, 3, 0, 0], [3, 3, 1, 1, 2], [1, 0, 0, 0, 0]])
    x = keras.layers.Embedding(4, 8, mask_zero=True)(tokens)
    layer = built(case.make(), x.shape)
    automatic = layer(x, x, use_causal_mask=causal)
    real = tokens != 0
    pairs = real[:, :, None] & real[:, None, :]
    if causal:
        pairs = pairs & np.tril(np.ones((5, 5), bool))
    x = ops.convert_to_numpy(x)
    manual = layer(x, x, attention_mask=pairs.astype(int))
    close(to_numpy(automatic)[real], to_numpy(manual)[real])


@on_some(mostly_on_torch(WITH_PAIRS))
def test_masking_with_different_shapes(case):
    x = normal(2, 5, 8)
    layer = built(case.make(), x.shape)
    heads = layer.num_heads
    mask = np.tril(np.ones((5, 5)))
    outputs = [
        layer(query=x, value=x, attention_mask=given)
        for given in (
            mask,
            mask.tolist(),
            [list(map(np.int64, row)) for row in mask],
            np.tile(mask, (2, 1, 1)),
            mask[None],
            np.tile(mask, (2, heads, 1, 1)),
        )
    ]
    for output in outputs[1:]:
        close(outputs[0], output)


@on_some(mostly_on_torch(PLAIN))
def test_no_warning_with_keras_mask(case):
    tokens = np.array([[1, 2, 3, 0, 0], [3, 3, 1, 1, 2]])
    x = keras.layers.Embedding(4, 8, mask_zero=True)(tokens)
    layer = case.make()
    layer.build(x.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x, x)


@pytest.mark.parametrize("causal", [False, True])
@on_some(PLAIN)
def test_sliding_window(case, causal):
    if case.id != "dot_product":
        instead = "`window`" if case.id == "local" else "of `DotProductAttention`"
        with pytest.raises(ValueError, match=f"{instead}.* Received: sliding_window=3"):
            case.make(sliding_window=3)
        assert case.make(sliding_window=None)
        return
    x = normal(1, 6, 8)
    layer = case.make(sliding_window=3)
    _, scores = layer(x, x, use_causal_mask=causal, return_attention_scores=True)
    lags = np.subtract.outer(np.arange(6), np.arange(6))
    seen = (abs(lags) < 3) & ((lags >= 0) | (not causal))
    np.testing.assert_array_equal(to_numpy(scores)[0, 0] > 0, seen)


@on_some(mostly_on_torch(CAUSAL))
def test_causal_only_fast_path(case):
    x = normal(2, 5, 8)
    layer = built(case.make(), x.shape)
    causal = np.tril(np.ones((1, 5, 5), bool))
    flagged = layer(x, x, use_causal_mask=True)
    close(flagged, layer(x, x, attention_mask=causal), 1e-4)


@on_some(mostly_on_torch(CAUSAL))
def test_causal_only_with_other_mask_falls_back(case):
    x = normal(2, 5, 8)
    layer = built(case.make(), x.shape)
    extra = np.ones((2, 5, 5), bool)
    extra[:, 2, 1] = False
    causal = np.tril(np.ones((5, 5), bool))
    close(
        layer(x, x, attention_mask=extra, use_causal_mask=True),
        layer(x, x, attention_mask=extra & causal),
    )


@pytest.mark.parametrize("rate", [0.0, 0.1])
@on_some(mostly_on_torch(CAUSAL))
def test_causal_with_scores_and_dropout(case, rate):
    x = normal(1, 6, 16)
    layer = built(case.make(dropout=rate), x.shape)
    _, scores = layer(x, x, use_causal_mask=True, return_attention_scores=True)
    assert np.abs(np.triu(to_numpy(scores), 1)).max() == 0
    causal = np.tril(np.ones((1, 6, 6), bool))
    flagged = layer(x, x, use_causal_mask=True, training=False)
    close(flagged, layer(x, x, attention_mask=causal, training=False))


@on_some(mostly_on_torch(CAUSAL))
def test_causal_of_more_axes(case):
    x = normal(1, 5, 3, 8)
    layer = case.make(attention_axes=1)
    _, scores = layer(x, x, use_causal_mask=True, return_attention_scores=True)
    assert np.abs(np.triu(to_numpy(scores), 1)).max() == 0


@pytest.mark.parametrize("flash_attention", [None, True, False])
def test_correctness(flash_attention):
    width = 8
    options = {"num_heads": width, "key_dim": width, "dtype": "float16"}
    layer = layers.DotProductAttention(flash_attention=flash_attention, **options)
    one = np.identity(width)[None]
    value = np.arange(width * width).reshape(1, width, width) / 100
    layer.build(one.shape, value.shape, one.shape)
    kernel = np.repeat(np.identity(width)[:, None], width, axis=1)
    bias = np.zeros((width, width))
    layer.set_weights([kernel, bias] * 3 + [kernel, np.zeros(width)])
    weights = np.exp(np.identity(width) / np.sqrt(width))
    weights /= weights.sum(axis=1, keepdims=True)
    # Output `h` of the last projection adds up the channels of head `h`.
    want = np.repeat((weights @ value).sum(axis=-1, keepdims=True), width, axis=-1)
    close(layer(query=one, value=value, key=one), want, 1e-2)
    if not flash_attention:
        _, scores = layer(one, value, one, return_attention_scores=True)
        close(scores, np.broadcast_to(weights, scores.shape), 1e-3)


@pytest.mark.parametrize("kind", ["kernel", "bias"])
@on_some(PLAIN)
def test_constraints(case, kind):
    layer = case.make(**{f"{kind}_constraint": "non_neg"})
    layer.build((2, 4, 8), (2, 4, 8))
    for name in DENSE:
        dense = getattr(layer, name, None)
        weight = getattr(dense, kind, None)
        if weight is not None:
            assert isinstance(weight.constraint, keras.constraints.NonNeg)


@on_some(mostly_on_torch(WITH_PAIRS))
def test_symbolic_return_attention_scores(case):
    layer = case.make()
    x = keras.Input(batch_shape=(2, 3, 5))
    outputs = layer(x, x, return_attention_scores=True)
    numbers = normal(2, 3, 5)
    found = layer(numbers, numbers, return_attention_scores=True)
    assert [tuple(y.shape) for y in outputs] == [tuple(y.shape) for y in found]


@on_some(PLAIN)
def test_dtype_policy_map(case):
    quantized = keras.dtype_policies.QuantizedDTypePolicy("int8", "float32")
    policies = keras.dtype_policies.DTypePolicyMap()
    for name in ("query", "key", "value", "key_up", "value_up"):
        policies[f"given/{name}"] = quantized
    layer = case.make(use_bias=False, dtype=policies, name="given")
    layer.build((2, 4, 8), (2, 4, 8))
    for name in DENSE[:3]:
        dense = getattr(layer, name, None)
        assert dense is None or str(ops.dtype(dense._kernel)) == "int8"


@on_some(PLAIN)
def test_flash_attention_with_errors(case):
    assert case.make(flash_attention=None) and case.make(flash_attention=False)
    if case.id != "dot_product":
        with pytest.raises(ValueError, match="Received: flash_attention=True"):
            case.make(flash_attention=True)
        return
    with pytest.raises(ValueError, match="Dropout is not supported when flash"):
        case.make(flash_attention=True, dropout=0.1)
    x = normal(2, 4, 8)
    with pytest.raises(ValueError, match="scores is not supported when flash"):
        case.make(flash_attention=True)(x, x, return_attention_scores=True)


@pytest.mark.parametrize("width", [8, (8, 8)], ids=str)
@on_some(mostly_on_torch(PLAIN))
def test_output_shape(case, width):
    x = normal(2, 4, 16)
    sizes = (width,) if isinstance(width, int) else width
    assert tuple(case.make(output_shape=width)(x, x).shape) == (2, 4, *sizes)


@on_some(PLAIN)
def test_output_shape_error(case):
    with pytest.raises(ValueError, match="Invalid `output_shape`"):
        case.make(output_shape=8.0)


@on_some(mostly_on_torch(QUANTIZED))
def test_quantize_int8(case):
    x = normal(1, 4, 8, scale=0.5)
    layer = built(case.make(use_bias=False), x.shape)
    before = to_numpy(layer(x, x))
    found = [getattr(layer, name, None) for name in DENSE]
    for dense in found:
        if dense is not None:
            dense.quantize("int8")
            assert str(ops.dtype(dense._kernel)) == "int8"
    assert found.count(None) <= 1
    assert np.mean((to_numpy(layer(x, x)) - before) ** 2) < 1e-2
