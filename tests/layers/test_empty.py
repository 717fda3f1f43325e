"""Empty batches and sequences in layers that are compiled, trained and stacked."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa import models
from keras_twa.layers.registry import name_of
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal
from tests.few import a_few

BACKEND = keras.backend.backend()
NAMES = [name_of(layer) for layer in layers.ATTENTION_LAYERS]
# JAX and TensorFlow take a second to compile each.
FEW = ("dot_product", "gravitational", "local", "retention", "rwkv", "lsh")
SOME = NAMES if BACKEND == "torch" else FEW
WIDTH = 8
# B and T.
SIZES = ((0, 5), (2, 0), (0, 0))
SMALL = {
    "vocabulary_size": 9,
    "num_layers": 1,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 10,
}


def made(name, **options):
    """Return a built layer."""
    layer = layers.get(name, num_heads=2, key_dim=4, **options)
    layer.build((None, None, WIDTH))
    return layer


def step(layer):
    """Compile a function from inputs to the outputs and the gradients of weights."""
    causal = layer.causality != "never"

    def outputs(x):
        return layer(x, use_causal_mask=causal)

    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function(input_signature=[tf.TensorSpec((None, None, WIDTH))])
        def run(x):
            with tf.GradientTape() as tape:
                result = outputs(x)
                loss = tf.reduce_sum(tf.square(result))
            return result, tape.gradient(
                loss,
                [v.value for v in layer.trainable_variables],
                unconnected_gradients="zero",
            )

        return run
    if BACKEND == "jax":
        import jax

        states = [v.value for v in layer.non_trainable_variables]

        def loss(weights, x):
            result, _ = layer.stateless_call(weights, states, x, use_causal_mask=causal)
            return ops.sum(ops.square(result)), result

        graded = jax.jit(jax.grad(loss, has_aux=True))
        weights = [v.value for v in layer.trainable_variables]
        return lambda x: graded(weights, x)[::-1]
    import torch

    def run(x):
        layer.zero_grad()
        result = outputs(x)
        ops.sum(ops.square(result)).backward()
        return result, [v.value.grad for v in layer.trainable_variables]

    return (
        run
        if name_of(type(layer)) not in FEW[:1]
        else torch.compile(run, backend="aot_eager")
    )


@pytest.mark.parametrize("name", a_few(SOME))
def test_compiled_steps(name):
    run = step(made(name))
    for batch, length in (*SIZES, (2, 5)):
        output, gradients = run(ops.convert_to_tensor(normal(batch, length, WIDTH)))
        assert tuple(output.shape) == (batch, length, WIDTH)
        for gradient in gradients:
            # Without outputs, PyTorch may omit a gradient.
            gradient = (
                0.0
                if gradient is None
                else harness.to_numpy(ops.convert_to_tensor(gradient))
            )
            assert np.isfinite(gradient).all()
            assert batch * length or not np.any(gradient)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", a_few(SOME))
def test_half_precision(name, dtype):
    layer = made(name, dtype=dtype)
    for batch, length in SIZES:
        output = layer(normal(batch, length, WIDTH))
        assert tuple(output.shape) == (batch, length, WIDTH)
        assert keras.backend.standardize_dtype(output.dtype) == dtype[6:]


@pytest.mark.parametrize(
    "name",
    [name for name in SOME if layers.mechanisms()[name].pairwise_mask],
)
def test_dropout_in_training(name):
    layer = made(name, dropout=0.5)
    for batch, length in SIZES:
        output = layer(normal(batch, length, WIDTH), training=True)
        assert tuple(output.shape) == (batch, length, WIDTH)


@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5", "shaw"])
@pytest.mark.parametrize("given", [False, True])
def test_positions_inside(positions, given):
    layer = made("dot_product", positions=positions)
    for batch, queries, keys in ((0, 5, 3), (2, 0, 3), (2, 5, 0), (0, 0, 0)):
        times = {}
        if given:
            times["query_positions"] = np.arange(queries, dtype="float32")
            times["key_positions"] = np.arange(keys, dtype="float32")
        inputs = normal(batch, queries, WIDTH), normal(batch, keys, WIDTH)
        output, weights = layer(*inputs, return_attention_scores=True, **times)
        assert tuple(output.shape) == (batch, queries, WIDTH)
        assert tuple(weights.shape) == (batch, 2, queries, keys)


def test_quantized():
    inputs = keras.Input((None, WIDTH))
    model = keras.Model(inputs, made("dot_product")(inputs, inputs))
    model.quantize("int8")
    for batch, length in SIZES:
        x = ops.convert_to_tensor(normal(batch, length, WIDTH))
        assert tuple(model(x).shape) == (batch, length, WIDTH)


@pytest.mark.parametrize("feed_forward", ["dense", "channel_mixing"])
@pytest.mark.parametrize("name", a_few(SOME))
def test_encoder(name, feed_forward):
    options = {"dropout": 0.1, "feed_forward": feed_forward}
    block = layers.TransformerEncoder(16, 2, attention=name, **options)
    block.build((None, None, WIDTH))
    for batch, length in SIZES:
        x = normal(batch, length, WIDTH)
        assert tuple(block(x, training=True).shape) == x.shape


def test_decoder():
    block = layers.TransformerDecoder(16, 2)
    block.build((None, None, WIDTH), (None, None, WIDTH))
    for batch, length, encoded in ((0, 5, 3), (2, 0, 3), (2, 5, 0), (0, 0, 0)):
        x, source = normal(batch, length, WIDTH), normal(batch, encoded, WIDTH)
        output = harness.to_numpy(block(x, source))
        assert output.shape == x.shape
        assert np.isfinite(output).all()


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", None])
def test_models(positions):
    language_model = models.CausalLM(**SMALL, positions=positions)
    classifier = models.EncoderClassifier(**SMALL, num_classes=3, positions=positions)
    for batch, length in SIZES:
        tokens = np.ones((batch, length), "int32")
        assert tuple(language_model(tokens).shape) == (batch, length, 9)
        logits = harness.to_numpy(classifier(tokens))
        assert logits.shape == (batch, 3)
        assert np.isfinite(logits).all()


def test_a_model_goes_on_after_an_empty_chunk():
    model = models.CausalLM(**SMALL)
    tokens = np.random.default_rng(0).integers(1, 9, (2, 6)).astype("int32")
    whole = harness.to_numpy(model(tokens))
    _, state = model(tokens[:, :4], return_state=True)
    empty, state = model(tokens[:, :0], initial_state=state, return_state=True)
    assert tuple(empty.shape) == (2, 0, 9)
    rest = harness.to_numpy(model(tokens[:, 4:], initial_state=state))
    harness.assert_close(rest, whole[:, 4:], "after an empty chunk", 1e-5)


@pytest.mark.parametrize("name", a_few(NAMES))
def test_packed_rows_may_be_empty(name):
    layer = made(name)
    for sizes in (*SIZES, (0, 1), (2, 1)):
        x, ids = normal(*sizes, WIDTH), np.ones(sizes, "int32")
        assert tuple(layer(x, segment_ids=ids).shape) == (*sizes, WIDTH)
