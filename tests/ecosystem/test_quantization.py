"""`quantize("int8")` and LoRA reach the projections of every mechanism."""

import keras
import numpy as np
import pytest

from keras_twa.layers import DotProductAttention
from keras_twa.layers import TransformerEncoder
from keras_twa.layers.attention.projection import HeadDense
from keras_twa.models import CausalLM
from keras_twa.models import EncoderClassifier
from keras_twa.models import EncoderDecoder
from keras_twa.models import TokenClassifier
from keras_twa.models import VisionTransformer
from keras_twa.testing import checks
from keras_twa.testing import harness
from keras_twa.testing.checks.shared import randomise_model
from tests.contract.cases import PLAIN
from tests.contract.marks import on_some
from tests.few import a_few

# What of the mean size of the logits they may move by, on average.
QUANTIZATION_ERROR = 0.05
MAKE = {
    # One bucket for all: a rounded query could fall into another.
    "lsh": {"bucket_size": 8, "num_buckets": 2},
    # A sign decides on the output of a step with one visible key.
    "retention": {"epsilon": 0.01},
}
# Training compiles: those with further projections, by themselves and in sublayers.
TRAINED = ("dot_product", "gravitational", "multi_timescale", "rwkv")


def named(name):
    """Return the case of a mechanism."""
    return next(case for case in PLAIN if case.id == name)


def small_model(case):
    """Return embedding, self-attention and logits, with random weights."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(9, 16, mask_zero=True)(tokens)
    options = MAKE.get(case.id, {})
    x = case.make(key_dim=8, value_dim=8, name="attention", **options)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(tokens, keras.layers.Dense(3, name="logits")(x))
    randomise_model(model)
    return model


def outputs(model, tokens):
    """Return what a model gives, without compiling anything for it."""
    return harness.to_numpy(model(tokens, training=False))


def projections(model):
    """Return the projections of a model's attention to heads and back."""
    return [x for x in model._flatten_layers() if isinstance(x, HeadDense)]


def assert_near(got, want):
    assert np.abs(got - want).mean() < QUANTIZATION_ERROR * np.abs(want).mean()


@on_some(PLAIN)
def test_int8_is_close_to_float_and_comes_back_from_a_file(case, tmp_path):
    model, tokens = small_model(case), checks.small_tokens()
    want = outputs(model, tokens)
    size = model.count_params()
    model.quantize("int8")
    kernels = {x.name: x._kernel.dtype for x in projections(model)}
    assert kernels["attention_output"] == "int8"
    wide = [x for x in projections(model) if x.partial_output_shape[-1] > 1]
    assert all(x._kernel.dtype == "int8" for x in wide)
    got = outputs(model, tokens)
    assert model.count_params() >= size  # the same, and scales
    assert not np.array_equal(got, want)
    assert_near(got, want)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [x._kernel.dtype for x in projections(again)] == list(kernels.values())
    np.testing.assert_array_equal(outputs(again, tokens), got)


def test_one_number_per_head_stays_in_floating_point():
    model = small_model(named("gravitational"))
    model.quantize("int8")
    dtypes = {x.name: x._kernel.dtype for x in projections(model)}
    assert dtypes["query_mass"] == dtypes["key_mass"] == "float32"
    assert dtypes["query"] == dtypes["value"] == "int8"


def test_a_whole_classifier_is_quantized(tmp_path):
    model = EncoderClassifier(
        9, 3, "gravitational", num_layers=1, embedding_dim=16, intermediate_dim=16
    )
    tokens = checks.small_tokens()
    want = outputs(model, tokens)
    model.quantize("int8")
    got = outputs(model, tokens)
    assert_near(got, want)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(again, tokens), got)


def given():
    """Return an attention layer, which has a path of its own."""
    return DotProductAttention(2, 8)


def built():
    """Return an attention layer that was built alone."""
    layer = given()
    layer.build((None, None, 8))
    return layer


def in_sequence(layer):
    """Return a sequential model of one layer."""
    return keras.Sequential([keras.Input((None, 8)), layer])


def functional(layer):
    """Return a functional model of one layer."""
    inputs = keras.Input((None, 8))
    return keras.Model(inputs, layer(inputs))


SIZES = {"num_layers": 1, "embedding_dim": 8, "num_heads": 2, "intermediate_dim": 8}
NUMBERS = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
IMAGES = NUMBERS.reshape(1, 8, 8, 1)
TOKENS = np.array([[3, 1, 4, 0], [2, 2, 5, 7]], "int32")
PAIRS = {"source": TOKENS, "target": TOKENS[:, :3]}
THREE = {f"{kind}_attention": given() for kind in ("encoder", "decoder", "cross")}
SAVED = {
    "sequential attention": (lambda: in_sequence(given()), NUMBERS),
    "sequential block": (lambda: in_sequence(TransformerEncoder(8, 2)), NUMBERS),
    "block": (lambda: functional(TransformerEncoder(8, 2, given())), NUMBERS),
    "block of built": (lambda: functional(TransformerEncoder(8, 2, built())), NUMBERS),
    "nested": (lambda: in_sequence(in_sequence(TransformerEncoder(8, 2))), NUMBERS),
    "language model": (
        lambda: CausalLM(9, given(), **{**SIZES, "num_layers": 2}),
        TOKENS,
    ),
    "model of built": (lambda: CausalLM(9, built(), **SIZES), TOKENS),
    "token classifier": (lambda: TokenClassifier(9, 3, given(), **SIZES), TOKENS),
    "images": (lambda: VisionTransformer(8, 4, 3, given(), **SIZES), IMAGES),
    "encoder-decoder": (lambda: EncoderDecoder(9, 9, **THREE, **SIZES), PAIRS),
}
ALWAYS = ("block of built", "language model")


@pytest.mark.parametrize("name", a_few(SAVED, always=ALWAYS))
def test_a_quantized_file_is_loaded_under_other_paths(name, tmp_path):
    make, x = SAVED[name]
    model = make()
    model(x)
    model.quantize("int8")
    want = outputs(model, x)
    kernels = [layer._kernel.dtype for layer in projections(model)]
    assert "int8" in kernels
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer._kernel.dtype for layer in projections(again)] == kernels
    np.testing.assert_array_equal(outputs(again, x), want)


@pytest.mark.parametrize("name", TRAINED)
def test_lora_trains_the_low_rank_weights_only(name, tmp_path):
    case = named(name)
    model, tokens = small_model(case), checks.small_tokens()
    want = outputs(model, tokens)
    for variable in model.trainable_variables:
        variable.trainable = False
    chosen = [x for x in projections(model) if x.name in ("query", "value")] or [
        x for x in projections(model) if x.name == "attention_output"
    ]
    for projection in chosen:
        projection.enable_lora(2)
    trained = {v.path for v in model.trainable_variables}
    assert len(trained) == 2 * len(chosen)
    assert all("lora_kernel" in path for path in trained)
    # One of the two begins at zero: nothing has changed yet.
    harness.assert_close(outputs(model, tokens), want, "logits", 1e-5)
    before = {v.path: harness.to_numpy(v.value) for v in model.variables}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss)
    model.fit(tokens, np.arange(4) % 3, epochs=2, verbose=0)
    moved = {
        variable.path
        for variable in model.variables
        if variable.path in before
        and "seed" not in variable.path
        and not np.array_equal(before[variable.path], harness.to_numpy(variable.value))
    }
    assert moved == trained
    # A file holds the sum of a kernel and what was learned.
    got = outputs(model, tokens)
    model.save_weights(tmp_path / "merged.weights.h5")
    merged = small_model(case)
    merged.load_weights(tmp_path / "merged.weights.h5")
    harness.assert_close(outputs(merged, tokens), got, "logits", 1e-4)


def test_lora_on_int8():
    model, tokens = small_model(named("dot_product")), checks.small_tokens()
    model.quantize("int8")
    for projection in projections(model):
        projection.enable_lora(2)
    want = outputs(model, tokens)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss)
    history = model.fit(tokens, np.arange(4) % 3, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert not np.allclose(outputs(model, tokens), want)
