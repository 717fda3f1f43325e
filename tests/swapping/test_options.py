"""What the new layers take from the old ones, and from what was passed."""

import inspect

import keras
import numpy as np
import pytest

import keras_twa
from keras_twa import layers
from keras_twa.layers import Mechanism
from keras_twa.testing import harness
from tests.swapping import models

L = keras.layers
KNOWN = {*inspect.signature(L.MultiHeadAttention.__init__).parameters}
FEATURES = 8


def case(layer, options, axes=1, marks=()):
    """Return a case, if this version of Keras has the options."""
    missing = {"use_gate", "sliding_window"} & {*options} - KNOWN
    marks = [*marks, *[pytest.mark.skip(reason=str(missing))] * bool(missing)]
    name = "-".join([layer.__name__[:5], *map(str, options.values())])
    return pytest.param(layer, options, axes, marks=marks, id=name)


MULTI, GROUP = L.MultiHeadAttention, L.GroupQueryAttention
SIZES = {"num_heads": 4, "key_dim": 3}
GROUPS = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
full = [pytest.mark.full]
CASES = [
    case(MULTI, {**SIZES, "use_gate": True, "sliding_window": 2}),
    case(GROUP, {**GROUPS, "use_gate": True}),
    case(MULTI, {**SIZES, "attention_axes": (2,)}, 2),
    case(MULTI, SIZES, marks=full),
    case(MULTI, {**SIZES, "use_bias": False}, marks=full),
    case(MULTI, {**SIZES, "output_shape": (5,)}, marks=full),
    case(MULTI, {**SIZES, "sliding_window": 3}, marks=full),
    case(MULTI, {**SIZES, "use_gate": True}, marks=full),
    case(MULTI, {**SIZES, "attention_axes": (1, 2)}, 2, marks=full),
    case(MULTI, SIZES, 2, marks=full),
    case(GROUP, GROUPS, marks=full),
    case(GROUP, {**GROUPS, "num_key_value_heads": 1, "use_bias": False}, marks=full),
    case(GROUP, {**GROUPS, "sliding_window": 3}, marks=full),
]


def model_of(layer, axes=1):
    """Return a model with self-attention over some axes."""
    x = keras.Input((4,) * axes + (FEATURES,))
    model = keras.Model(x, layer(x, x))
    harness.randomise(model)
    return model


def rows(axes=1):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, *(4,) * axes, FEATURES)).astype("float32")


@pytest.mark.parametrize(("kind", "options", "axes"), CASES)
def test_dot_product_computes_the_same(kind, options, axes):
    model, x = model_of(kind(**options), axes), rows(axes)
    want = models.outputs(model, x)
    swapped = keras_twa.swap_attention(model, "dot_product")
    np.testing.assert_allclose(models.outputs(swapped, x), want, atol=1e-5)
    assert not swapped.swap_report[0].started
    back = keras_twa.swap_attention(swapped, kind)
    assert type(back.layers[-1]) is kind
    np.testing.assert_allclose(models.outputs(back, x), want, atol=1e-5)


def test_groups_become_heads():
    model, x = model_of(GROUP(**GROUPS)), rows()
    want = models.outputs(model, x)
    swapped = keras_twa.swap_attention(model, MULTI)
    entry = swapped.swap_report[0]
    assert set(entry.converted) == {
        f"{name}/{kind}" for name in ("key", "value") for kind in ("kernel", "bias")
    }
    np.testing.assert_allclose(models.outputs(swapped, x), want, atol=1e-5)
    # Heads of equal keys and values become groups of the same.
    groups = keras_twa.swap_attention(swapped, "dot_product", num_key_value_heads=2)
    np.testing.assert_allclose(models.outputs(groups, x), want, atol=1e-5)
    assert len(groups.swap_report[0].converted) == 4


def test_options_and_templates():
    model = models.small()
    swapped = keras_twa.swap_attention(model, "local", window=3)
    assert swapped.get_layer("attention").window == 3
    template = layers.LocalAttention(1, 1, window=4, name="template")
    swapped = keras_twa.swap_attention(model, template)
    new = swapped.get_layer("attention")
    assert new is not template and (new.window, new.num_heads, new.key_dim) == (4, 2, 4)
    swapped = keras_twa.swap_attention(model, layers.LocalAttention, window=5)
    assert swapped.get_layer("attention").window == 5
    rotary = layers.DotProductAttention(1, 1, positions="rotary")
    swapped = keras_twa.swap_attention(model, rotary)
    assert isinstance(swapped.get_layer("attention").positions, layers.RotaryPositions)


def test_other_sizes_start_anew():
    swapped = keras_twa.swap_attention(models.small(), "dot_product", key_dim=5)
    entry = swapped.swap_report[0]
    names = {"query/kernel", "query/bias", "key/kernel", "key/bias"}
    assert {*entry.started} == names
    assert "value/kernel" in entry.kept and "attention_output/kernel" in entry.kept


def test_initializers_regularizers_and_names_stay():
    model = models.small(
        kernel_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.5),
        bias_constraint="non_neg",
        seed=3,
        dropout=0.25,
    )
    new = keras_twa.swap_attention(model, "temporal_weighted").get_layer("attention")
    assert isinstance(new.kernel_initializer, keras.initializers.Ones)
    assert isinstance(new.kernel_regularizer, keras.regularizers.L2)
    assert isinstance(new.bias_constraint, keras.constraints.NonNeg)
    assert (new.seed, new.dropout) == (3, 0.25)


def test_what_has_no_counterpart_is_said():
    options = {"use_gate": True, "sliding_window": 2} if "use_gate" in KNOWN else {}
    model = models.small(dropout=0.5, **options)
    text = str(keras_twa.swap_attention(model, "retention").swap_report)
    assert "dropout=0.5" in text
    for option in options:
        assert option.removeprefix("use_") in text
    sinks = keras_twa.swap_attention(model, "dot_product", sinks=True)
    assert "sinks=True" in str(keras_twa.swap_attention(sinks, "local").swap_report)


def test_what_lora_learned_is_kept():
    model = models.small()
    model.get_layer("attention").query_dense.enable_lora(2)
    for variable in model.get_layer("attention").query_dense.trainable_variables:
        variable.assign(np.full(variable.shape, 0.3, "float32"))
    swapped = keras_twa.swap_attention(model, "dot_product")
    np.testing.assert_allclose(
        models.outputs(swapped), models.outputs(model), atol=1e-5
    )


def test_quantized_attention_is_refused():
    model = keras_twa.swap_attention(models.small(), "dot_product")
    model.quantize("int8")
    with pytest.raises(ValueError, match=r"uantize.*Received: 'attention'"):
        keras_twa.swap_attention(model, "local")


@pytest.mark.parametrize(
    "attention",
    [
        "[local(window=3), retention]",
        ["local(window=3)", Mechanism("retention")],
        [Mechanism("local", {"window": 3}), "retention"],
    ],
    ids=str,
)
def test_texts_and_mechanisms_stand_for_layers(attention):
    x = keras.Input((None, 8))
    y = keras.layers.MultiHeadAttention(2, 4, name="first")(x, x)
    y = keras.layers.MultiHeadAttention(2, 4, name="second")(y, y)
    swapped = keras_twa.swap_attention(keras.Model(x, y), attention)
    assert swapped.get_layer("first").window == 3
    assert isinstance(swapped.get_layer("second"), layers.RetentionAttention)
