"""A Transformer encoder that classifies images."""

import keras
from keras import ops

from keras_twa.layers import LearnedPositions
from keras_twa.layers import checks
from keras_twa.layers.quantized import dtype_config
from keras_twa.models import parts


@keras.saving.register_keras_serializable(package="keras_twa")
class VisionTransformer(keras.Model):
    """Patches, positions, encoder blocks, pooling, and a classification head.

    An image is cut into patches, row by row. One dense layer turns each patch into a
    token with a learned position. With `pooling="cls"`, the final state of a learned
    token in front is classified; with "mean", the mean of all final states.

    Args:
        image_size: Height and width of the images, an integer or a pair.
        patch_size: Height and width of the patches, likewise. Must divide `image_size`.
        num_classes: Number of classes.
        attention: Attention of every block: a name or text for `keras_twa.layers.get`,
            or an attention layer, which each block copies; or a list of these with one
            per block. Defaults to "dot_product".
        num_layers: Number of encoder blocks. Defaults to 6.
        embedding_dim: Width F of the model. Defaults to 128.
        num_heads: Attention heads, if `attention` is a name. Defaults to 4.
        intermediate_dim: Width of the feed-forward networks. Defaults to 512.
        dropout: Dropout rate of embeddings and blocks. Defaults to 0.1.
        pooling: "cls" (default) or "mean".
        activation: Activation of the feed-forward networks. Defaults to "gelu".
        normalize_first: Whether layer normalisation precedes each branch. Defaults to
            `True`.

    Call arguments:
        images: `(B, height, width, channels)`, best between -1 and 1.
        training: Whether dropout is active.

    Returns:
        Logits `(B, num_classes)` in float32.

    Raises:
        ValueError: If a size is not positive, a choice is unknown, the patches do not
            fill the image, images have another size, or the attention is always causal
            and pooling is "cls".

    Example:

    >>> import numpy as np
    >>> from keras_twa.models import VisionTransformer
    >>> model = VisionTransformer(32, 8, 10, num_layers=2, embedding_dim=16)
    >>> tuple(model(np.zeros((5, 32, 32, 3), "float32")).shape)
    (5, 10)

    Reference:
        [Dosovitskiy et al., 2021](https://arxiv.org/abs/2010.11929)
    """

    def __init__(
        self,
        image_size,
        patch_size,
        num_classes,
        attention="dot_product",
        num_layers=6,
        embedding_dim=128,
        num_heads=4,
        intermediate_dim=512,
        dropout=0.1,
        pooling="cls",
        activation="gelu",
        normalize_first=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.positive_integer(
            num_classes=num_classes, num_layers=num_layers, embedding_dim=embedding_dim
        )
        checks.one_of(("cls", "mean"), pooling=pooling)
        self.image_size = checks.pair("image_size", image_size)
        self.patch_size = checks.pair("patch_size", patch_size)
        if any(x % y for x, y in zip(self.image_size, self.patch_size, strict=True)):
            raise ValueError(
                "Patches must fill the image: `patch_size` must divide `image_size`. "
                f"Received: image_size={image_size}, patch_size={patch_size}"
            )
        self.pooling = pooling
        self._config = {
            "image_size": list(self.image_size),
            "patch_size": list(self.patch_size),
            "num_classes": num_classes,
            "attention": parts.serialized(attention),
            "num_layers": num_layers,
            "embedding_dim": embedding_dim,
            "num_heads": num_heads,
            "intermediate_dim": intermediate_dim,
            "dropout": dropout,
            "pooling": pooling,
            "activation": activation,
            "normalize_first": normalize_first,
        }
        self._grid = [
            x // y for x, y in zip(self.image_size, self.patch_size, strict=True)
        ]
        options = {"dtype": self.dtype_policy}
        self.embedding = keras.layers.Dense(embedding_dim, name="embedding", **options)
        # One more for the class token.
        self.positions = LearnedPositions(
            self._grid[0] * self._grid[1] + (pooling == "cls"), **options
        )
        self.embedding_dropout = keras.layers.Dropout(dropout, **options)
        self.blocks = parts.encoder_blocks(
            num_layers,
            self._config["attention"],
            num_heads,
            intermediate_dim,
            dropout,
            activation,
            normalize_first,
            self.dtype_policy,
        )
        self.final_norm = parts.final_norm(self.dtype_policy)
        self.head = parts.head(num_classes, self.dtype_policy)

    def build(self, images_shape):
        self._check_images(images_shape)
        dim, (height, width) = self._config["embedding_dim"], self.patch_size
        self.class_token = None
        if self.pooling == "cls":
            self.class_token = self.add_weight(
                shape=(1, 1, dim), initializer="random_normal", name="class_token"
            )
        self.embedding.build((None, None, height * width * images_shape[-1]))
        for layer in (self.positions, *self.blocks, self.final_norm):
            layer.build((images_shape[0], None, dim))
        parts.check_pooling(self.pooling, self.blocks)
        self.head.build((images_shape[0], dim))

    def call(self, images, training=None):
        self._check_images(images.shape)
        x = self.embedding(self._patches(ops.cast(images, self.compute_dtype)))
        if self.pooling == "cls":
            x = parts.with_class_token(x, self.class_token)
        x = self.embedding_dropout(self.positions(x), training=training)
        for block in self.blocks:
            x = block(x, training=training)
        x = ops.cast(self.final_norm(x), "float32")
        return self.head(x[:, 0] if self.pooling == "cls" else ops.mean(x, axis=1))

    def _patches(self, images):
        """The values of each patch, `(B, patches, height * width * channels)`."""
        (rows, columns), (height, width) = self._grid, self.patch_size
        channels = images.shape[-1]
        x = ops.reshape(images, (-1, rows, height, columns, width, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, rows * columns, height * width * channels))

    def _check_images(self, shape):
        if len(shape) != 4 or tuple(shape[1:3]) != self.image_size or shape[3] is None:
            raise ValueError(
                "Images must have shape (batch, height, width, channels) with "
                f"(height, width) = {self.image_size} and known channels. "
                f"Received: images of shape {tuple(shape)}"
            )

    def compute_output_spec(self, images, training=None):
        self._check_images(images.shape)
        shape = (images.shape[0], self._config["num_classes"])
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        own = parts.saved(self._config, "attention")
        return {**super().get_config(), **dtype_config(self), **own}

    @classmethod
    def from_config(cls, config):
        return cls(**parts.loaded(config, "attention"))
