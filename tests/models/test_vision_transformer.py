"""The image classifier: patches, pooling, files."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.models import VisionTransformer
from keras_twa.testing import harness

SMALL = {
    "image_size": (4, 6),
    "patch_size": 2,
    "num_classes": 3,
    "num_layers": 1,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 10,
    "dropout": 0.0,
}
IMAGES = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype("float32")


def classifier(**options):
    """Return a built classifier with random weights."""
    model = VisionTransformer(**{**SMALL, **options})
    model.build((None, 4, 6, 3))
    harness.randomise(model, scale=0.3)
    return model


def logits(model, images=IMAGES):
    """Return the logits as NumPy."""
    return harness.to_numpy(model(images))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_equals_its_parts(pooling):
    model = classifier(pooling=pooling)
    kernel, bias = (harness.to_numpy(x.value) for x in model.embedding.weights)
    x = np.zeros((2, 6, 8))
    for row in range(2):
        for column in range(3):
            rows, columns = (
                slice(2 * row, 2 * row + 2),
                slice(2 * column, 2 * column + 2),
            )
            patch = IMAGES[:, rows, columns].reshape(2, 12)
            x[:, 3 * row + column] = patch @ kernel + bias
    if pooling == "cls":
        token = harness.to_numpy(model.class_token.value)
        x = np.concatenate([np.broadcast_to(token, (2, 1, 8)), x], axis=1)
    x = x + harness.to_numpy(model.positions.embeddings.value)
    x = model.blocks[0](x.astype("float32"))
    x = harness.to_numpy(model.final_norm(x))
    pooled = x[:, 0] if pooling == "cls" else x.mean(1)
    want = harness.to_numpy(model.head(pooled))
    harness.assert_close(logits(model), want, "logits", 1e-5)


def test_patches_are_a_strided_convolution():
    model = classifier()
    kernel, bias = model.embedding.get_weights()
    convolution = keras.layers.Conv2D(8, 2, strides=2, data_format="channels_last")
    convolution.build(IMAGES.shape)
    convolution.set_weights([kernel.reshape(2, 2, 3, 8), bias])
    want = harness.to_numpy(convolution(IMAGES)).reshape(2, 6, 8)
    got = harness.to_numpy(model.embedding(model._patches(IMAGES)))
    harness.assert_close(got, want, "patches", 1e-5)


def test_fits_saves_and_loads(tmp_path):
    attention = layers.TemporalWeightedAttention(2, 4, time_scale=6.0)
    model = VisionTransformer(**SMALL, attention=attention)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.build(IMAGES.shape)
    before = model.get_weights()
    history = model.fit(IMAGES, np.array([0, 2]), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    # Each weight has a gradient.
    after = model.get_weights()
    assert all((x != y).any() for x, y in zip(before, after, strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    harness.assert_close(logits(loaded), logits(model), "logits", 1e-6)
    assert loaded.get_config() == model.get_config()
    assert loaded.blocks[0].attention_layer.time_scale == 6.0


def test_a_class_token_needs_attention_that_sees_ahead():
    with pytest.raises(ValueError, match="Received: pooling='cls'"):
        classifier(attention="retention")
    assert np.isfinite(logits(classifier(attention="retention", pooling="mean"))).all()


def test_in_a_functional_model_with_bytes_and_half_precision():
    model = VisionTransformer(**SMALL, dtype="mixed_bfloat16")
    inputs = keras.Input((4, 6, 3), dtype="uint8")
    outputs = model(inputs)
    assert outputs.shape == (None, 3)
    got = keras.Model(inputs, outputs)(np.zeros((5, 4, 6, 3), "uint8"))
    assert tuple(got.shape) == (5, 3)
    for x in (outputs, got):
        assert keras.backend.standardize_dtype(x.dtype) == "float32"


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 0},
        {"image_size": (4, 6, 3)},
        {"image_size": 5},
        {"patch_size": (2, 4)},
        {"patch_size": 2.0},
        {"num_classes": 0},
        {"num_layers": 0},
        {"embedding_dim": 0},
        {"num_heads": 3},
        {"pooling": "max"},
        {"attention": "retentoin"},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        classifier(**options)


@pytest.mark.parametrize("shape", [(2, 6, 4, 3), (2, 4, 6), (2, 8, 6, 3)])
def test_refuses_images_of_another_size(shape):
    with pytest.raises(ValueError, match="Received: images of shape"):
        classifier()(np.zeros(shape, "float32"))
    with pytest.raises(ValueError, match="Received: images of shape"):
        VisionTransformer(**SMALL)(np.zeros(shape, "float32"))
