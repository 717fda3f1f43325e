"""Attention over any axes equals attention to the sequences along these axes."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.masks import AttentionMask
from keras_twa.testing import harness
from keras_twa.testing import scenarios
from tests.contract.cases import PLAIN
from tests.contract.cases import WITH_CROSS
from tests.contract.cases import WITH_PAIRS
from tests.contract.marks import on_some
from tests.contract.test_keras_attention_tests import mostly_on_torch

VIDEO = 2, 3, 2, 4, 5
AXES = [[3, 1], None, 1, -2, (3,), (1, 3), (-3, -2)]
if keras.backend.backend() != "torch":
    # JAX and TensorFlow compile each of these anew.
    AXES[1:] = [pytest.param(axes, marks=pytest.mark.slow) for axes in AXES[1:]]


def built(layer, *shapes):
    """Return the layer, built and with random weights."""
    layer.build(*shapes)
    harness.randomise(layer)
    return layer


def attended(given, rank):
    """Return `attention_axes` as a tuple of positive axes."""
    given = range(1, rank - 1) if given is None else given
    given = [given] if isinstance(given, int) else given
    return tuple(axis % rank for axis in given)


def one_by_one(layer, axes, query, key=None, mask=None, **options):
    """Return outputs and scores, with one call per element of the other axes."""
    key = query if key is None else key
    free = [a for a in range(1, query.ndim - 1) if a not in axes]
    output = np.zeros((*query.shape[:-1], query.shape[-1]), "float32")
    scores = {}
    for place in itertools.product(*(range(query.shape[a]) for a in free)):
        at = [slice(None)] * (query.ndim - 1)
        for axis, index in zip(free, place, strict=True):
            at[axis] = index
        at = tuple(at)

        def sequence(x, at=at, last=1):
            x = x[at]
            order = np.argsort(np.argsort(axes))
            x = x.transpose(0, *(order + 1), *range(len(axes) + 1, x.ndim))
            return x.reshape(x.shape[0], -1, *x.shape[len(axes) + 1 :])

        q = sequence(query)
        k = q if key is query else sequence(key)
        if mask is not None:
            options["query_mask"] = options["value_mask"] = sequence(mask)
        found = layer(q, k, **options)
        if options.get("return_attention_scores"):
            found, scores[place] = (harness.to_numpy(x) for x in found)
        part = output[at]
        ordered = np.sort(axes)
        sizes = [query.shape[a] for a in axes]
        found = harness.to_numpy(found).reshape(len(query), *sizes, query.shape[-1])
        back = [axes.index(a) + 1 for a in ordered]
        part[...] = found.transpose(0, *back, found.ndim - 1)
    return output, scores


@pytest.mark.parametrize("axes", AXES, ids=str)
@on_some(PLAIN)
def test_equals_a_call_per_sequence(case, axes):
    x = scenarios.normal(*VIDEO)
    layer = built(case.make(attention_axes=axes), VIDEO)
    one = built(case.make(), (2, 4, 5))
    harness.copy_weights(layer, one)
    if case.id in ("lsh", "performer"):
        for ours, theirs in zip(layer.variables, one.variables, strict=True):
            theirs.assign(ours.value)
    mask = scenarios.random_mask(*VIDEO[:-1])
    options = {}
    if case.facts.causality == "optional":
        options["use_causal_mask"] = True
    got = harness.to_numpy(layer(x, query_mask=mask, value_mask=mask, **options))
    want, _ = one_by_one(one, attended(axes, 5), x, mask=mask, **options)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axes", [(2,), (1, 2)], ids=str)
@on_some(mostly_on_torch(WITH_CROSS))
def test_attends_to_other_lengths(case, axes):
    query, value = scenarios.normal(2, 3, 4, 6), scenarios.normal(2, 3, 5, 6, seed=1)
    layer = built(case.make(attention_axes=axes), query.shape, value.shape)
    one = built(case.make(), (2, 4, 6), (2, 5, 6))
    for ours, theirs in zip(layer.variables, one.variables, strict=True):
        theirs.assign(ours.value)
    got = layer(query, value)
    want, _ = one_by_one(one, axes, query, value)
    np.testing.assert_allclose(harness.to_numpy(got), want, rtol=1e-4, atol=1e-4)


@on_some(WITH_PAIRS)
def test_scores_have_the_axes_of_queries_and_keys(case):
    x = scenarios.normal(2, 3, 2, 4, 5)
    layer = built(case.make(attention_axes=(3, 1)), x.shape)
    outputs, scores = layer(x, return_attention_scores=True)
    heads = layer.projections()[0].heads
    assert tuple(scores.shape) == (2, 2, heads, 4, 3, 4, 3)
    assert tuple(outputs.shape) == x.shape
    spec = layer.compute_output_spec(
        keras.KerasTensor((None, None, 2, 4, 5)), return_attention_scores=True
    )
    assert spec[0].shape == (None, None, 2, 4, 5)
    assert spec[1].shape == (None, 2, heads, 4, None, 4, None)


SHAPES = [
    # Queries, values, axes, and masks as Keras takes them.
    ((3, 4), (3, 2), (2,), [(4, 2), (3, 4, 2), (3, 3, 4, 2), (3, 3, 2, 4, 2)]),
    ((3, 4), (3, 2), (1, 2), [(3, 4, 3, 2), (3, 3, 4, 3, 2), (3, 2, 3, 4, 3, 2)]),
    ((5, 3, 4), (5, 3, 2), (2, 3), [(3, 4, 3, 2), (3, 5, 3, 4, 3, 2)]),
    ((3, 4), (2, 4), (1,), [(3, 2), (1, 4, 3, 2), (3, 1, 1, 3, 2)]),
    ((3, 4), (2, 5), (2, 1), [(4, 3, 5, 2), (3, 1, 4, 3, 1, 2)]),
    ((4,), (2,), None, [(4, 2), (1, 4, 2), (3, 4, 2), (3, 2, 4, 2), (1, 1, 4, 2)]),
]
CALLS = [(*shape, mask) for *shape, masks in SHAPES for mask in (None, *masks)]


@pytest.mark.parametrize("of_query, of_value, axes, mask", CALLS, ids=str)
def test_equals_multi_head_attention(of_query, of_value, axes, mask):
    options = {"num_heads": 2, "key_dim": 4, "attention_axes": axes, "use_gate": True}
    query = scenarios.normal(3, *of_query, 6)
    value = scenarios.normal(3, *of_value, 7, seed=1)
    ours = layers.DotProductAttention(**options)
    theirs = keras.layers.MultiHeadAttention(**options)
    theirs.build(query.shape, value.shape)
    harness.randomise(theirs)
    ours.build(query.shape, value.shape)
    harness.copy_weights(theirs, ours)
    if mask is not None:
        mask = scenarios.random_mask(*mask)
        # For a query that sees nothing, Keras returns the mean of all values.
        mask[..., 0] = True
    call = {"attention_mask": mask, "return_attention_scores": True}
    for got, want in zip(
        ours(query, value, **call), theirs(query, value, **call), strict=True
    ):
        assert got.shape == want.shape
        np.testing.assert_allclose(
            harness.to_numpy(got), harness.to_numpy(want), rtol=1e-4, atol=1e-5
        )
    if mask is not None:
        nested = ours(query, value, attention_mask=mask.astype(int).tolist())
        once = ours(query, value, attention_mask=mask)
        np.testing.assert_array_equal(harness.to_numpy(nested), harness.to_numpy(once))


def test_times_are_for_what_is_attended():
    x = scenarios.normal(2, 3, 4, 8)
    layer = built(
        layers.DotProductAttention(2, 4, positions="rotary", attention_axes=1), x.shape
    )
    times = scenarios.timestamps(3)
    of_each = np.broadcast_to(times[None, :, None], (2, 3, 4))
    want = harness.to_numpy(layer(x, query_positions=times))
    for given in (of_each, of_each[:, :, :1], of_each[:1, :, :1], times.tolist()):
        got = harness.to_numpy(layer(x, query_positions=given))
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    plain = harness.to_numpy(layer(x))
    assert np.abs(plain - want).max() > 1e-3
    with pytest.raises(ValueError, match="Received: query_positions of shape"):
        layer(x, query_positions=times[:2])


@on_some(mostly_on_torch(PLAIN))
def test_a_model_of_images_trains_and_is_saved(case, tmp_path):
    images = keras.Input((None, 4, 6))
    made = case.make(attention_axes=2, **({"dropout": 0.2} if case.has_pairs else {}))
    x = keras.layers.Add()([images, made(images, images)])
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    model.compile("sgd", "mse")
    x = scenarios.normal(2, 3, 4, 6)
    model.fit(x, np.zeros((2, 6), "float32"), verbose=0)
    path = str(tmp_path / "model.keras")
    model.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("axes", [0, 3, -1, -4, (1, 1), (1, -3), 7], ids=str)
def test_axes_that_no_input_has_are_refused(axes):
    layer = layers.LinearAttention(2, 4, attention_axes=axes)
    with pytest.raises(ValueError, match="Received: attention_axes="):
        layer(scenarios.normal(2, 3, 4, 6))
    with pytest.raises(ValueError, match="Received: attention_axes="):
        layer.compute_output_shape((2, 3, 4, 6))


@pytest.mark.parametrize("axes", [(), [], "1", 1.5, True, (1, None), (1.0,)], ids=str)
def test_axes_are_integers(axes):
    with pytest.raises(ValueError, match="Received: attention_axes="):
        layers.RetentionAttention(2, 4, attention_axes=axes)


BAD = {
    "value with another axis that is not attended": {"value": (2, 4, 4, 6)},
    "value of fewer axes": {"value": (2, 4, 6)},
    "key of another length": {"value": (2, 3, 5, 6), "key": (2, 3, 4, 6)},
    "query_mask of the attended axis only": {"query_mask": (2, 4)},
    "value_mask of another shape": {"value_mask": (2, 3, 5)},
    "pairs of another length": {"attention_mask": (4, 5)},
    "pairs of one axis": {"attention_mask": (4,)},
    "pairs of too many axes": {"attention_mask": (2, 3, 1, 1, 4, 4)},
    "pairs of three heads": {"attention_mask": (2, 3, 3, 4, 4)},
    "positions of another length": {"key_positions": (5,)},
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name):
    shapes = {"query": (2, 3, 4, 6), "value": (2, 3, 4, 6), **BAD[name]}
    layer = layers.DotProductAttention(2, 4, attention_axes=2)
    with pytest.raises(ValueError, match="Received: "):
        layer(**{name: np.ones(shape, "float32") for name, shape in shapes.items()})
    with pytest.raises(ValueError, match="Received: "):
        layer(**{name: keras.KerasTensor(shape) for name, shape in shapes.items()})


def test_states_and_projected_sequences_are_for_sequences():
    x = scenarios.normal(2, 3, 4, 6)
    layer = built(layers.DotProductAttention(2, 4, attention_axes=2), x.shape)
    with pytest.raises(ValueError, match="Received: return_state"):
        layer(x, use_causal_mask=True, return_state=True)
    with pytest.raises(ValueError, match="Received: initial_state"):
        layer(x, use_causal_mask=True, initial_state=layer.initial_state(2))
    projected = layer.project(scenarios.normal(2, 4, 6))
    with pytest.raises(ValueError, match="Received: projected"):
        layer(x, projected=projected)
    with pytest.raises(ValueError, match="Received: value"):
        layer.project(x)


def test_axes_are_in_the_config():
    layer = layers.LocalAttention(2, 4, attention_axes=[1, -2])
    config = layer.get_config()
    assert config["attention_axes"] == (1, -2)
    assert layers.LocalAttention.from_config(config).attention_axes == (1, -2)
    del config["attention_axes"]
    assert layers.LocalAttention.from_config(config).attention_axes is None


def test_an_encoder_takes_images():
    x = scenarios.normal(2, 3, 4, 8)
    attention = layers.GravitationalAttention(2, 4, attention_axes=2)
    block = layers.TransformerEncoder(16, 2, attention)
    mask = scenarios.random_mask(2, 3, 4)
    got = harness.to_numpy(block(x, padding_mask=mask))
    rows = layers.TransformerEncoder(16, 2, layers.GravitationalAttention(2, 4))
    rows(x[:, 0])
    for ours, theirs in zip(block.variables, rows.variables, strict=True):
        theirs.assign(ours.value)
    for row in range(3):
        want = harness.to_numpy(rows(x[:, row], padding_mask=mask[:, row]))
        np.testing.assert_allclose(got[:, row], want, rtol=1e-4, atol=1e-4)


def test_blocks_take_nested_lists():
    x, mask = scenarios.normal(2, 3, 8), scenarios.lengths_mask([3, 2], 3)
    pairs, times = np.tril(np.ones((3, 3), int)), scenarios.timestamps(3)
    block = layers.TransformerEncoder(16, 2, "temporal_weighted")
    call = {"padding_mask": mask, "attention_mask": pairs, "positions": times}
    rows = {name: [list(row) for row in call[name]] for name in list(call)[:2]}
    got = block(x, **rows, positions=times.tolist())
    want = harness.to_numpy(block(x, **call))
    np.testing.assert_allclose(harness.to_numpy(got), want, rtol=1e-5, atol=1e-6)
    decoder = layers.TransformerDecoder(16, 2)
    masks = {"decoder_padding_mask": mask, "decoder_attention_mask": pairs}
    masks["encoder_padding_mask"] = mask
    got = decoder(x, x, **{name: x.tolist() for name, x in masks.items()})
    want = harness.to_numpy(decoder(x, x, **masks))
    np.testing.assert_allclose(harness.to_numpy(got), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("query", [[[1.0], [1.0, 2.0]], [None], ["a"]], ids=str)
def test_lists_that_are_no_numbers_are_refused(query):
    with pytest.raises(ValueError, match="Received: query"):
        layers.LinearAttention(2, 4)(query)


def test_a_list_of_inputs_is_refused():
    x = ops.convert_to_tensor(scenarios.normal(2, 3, 8))
    for inputs in ([x, x], [scenarios.normal(2, 3, 8)] * 2, [keras.Input((3, 8))]):
        with pytest.raises(ValueError, match=r"arguments of their own.* Received: "):
            layers.DotProductAttention(2, 4)(inputs)


def test_nested_lists_are_inputs_too():
    x = scenarios.normal(2, 3, 8)
    layer = built(layers.RetentionAttention(2, 4), x.shape)
    listed = x.tolist()
    got, want = harness.to_numpy(layer(listed, listed)), harness.to_numpy(layer(x))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 5), (1, 3, 5), (1, 1, 3, 5)], ids=str)
def test_a_mask_of_pairs_has_two_to_four_axes(shape):
    pairs = scenarios.random_mask(3, 5)
    mask = AttentionMask.from_arguments(attention_mask=pairs.reshape(shape))
    np.testing.assert_array_equal(ops.convert_to_numpy(mask.pairs)[0, 0], pairs)


def test_spec_names_arguments_as_the_call_does():
    layer = layers.DotProductAttention(2, 4)
    x, mask = keras.Input((3, 8)), keras.Input((3,), dtype="bool")
    # The fourth argument is a mask, not `return_attention_scores`.
    assert layer(x, x, x, mask).shape == (None, 3, 8)


def test_a_mask_rides_on_images_of_tokens():
    tokens = np.array([[[1, 2, 0], [3, 0, 0]]])
    embed = keras.layers.Embedding(5, 6, mask_zero=True)
    layer = layers.TemporalWeightedAttention(2, 3, attention_axes=2)
    carried = harness.to_numpy(layer(embed(tokens), embed(tokens)))
    x, mask = ops.convert_to_numpy(embed(tokens)), tokens != 0
    given = harness.to_numpy(layer(x, query_mask=mask, value_mask=mask))
    np.testing.assert_allclose(carried, given, rtol=1e-5, atol=1e-6)
    outputs = keras.Sequential([embed, layer])(tokens)
    np.testing.assert_allclose(harness.to_numpy(outputs), given, rtol=1e-5, atol=1e-6)
