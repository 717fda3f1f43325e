"""A Transformer encoder that puts a whole sequence into a class."""

import keras
from keras import ops

from keras_twa.layers import LearnedPositions
from keras_twa.layers import SinusoidalPositions
from keras_twa.layers import TransformerEncoder
from keras_twa.layers import checks


@keras.saving.register_keras_serializable(package="keras_twa")
class EncoderClassifier(keras.Model):
    """Embedding, positions, encoder blocks, pooling, and a classification head.

    Token 0 is padding: it is attended to by no one, and does not count in the
    pooled mean, so a sequence gets the same logits however far it is padded.

    Args:
        vocabulary_size: Number of token ids, padding included.
        num_classes: Number of classes.
        attention: Attention of every block: a name that `keras_twa.layers.get`
            knows. Defaults to "dot_product".
        num_layers: Number of encoder blocks. Defaults to 2.
        embedding_dim: Width F of the model. Defaults to 128.
        num_heads: Attention heads. Defaults to 4.
        intermediate_dim: Width of the feed-forward networks and of the head.
            Defaults to 512.
        dropout: Dropout rate of embeddings, blocks and head. Defaults to 0.1.
        max_length: Longest sequence, for learned positions. Defaults to 4096.
        positions: "sinusoidal" (default) or "learned".
        pooling: "mean" over the real steps (default), or "cls": the final state
            of a learned token put in front.
        activation: Activation of the feed-forward networks. Defaults to "gelu".
        normalize_first: Whether layer normalisation precedes each branch.
            Defaults to `True`.

    Call arguments:
        tokens: Integer `(B, T)`.
        training: Whether dropout is active.

    Returns:
        Logits `(B, num_classes)` in float32.

    Raises:
        ValueError: If a size is not positive or a choice unknown.

    Example:

    >>> import numpy as np
    >>> from keras_twa.models import EncoderClassifier
    >>> model = EncoderClassifier(17, 10, "temporal_weighted", embedding_dim=16)
    >>> tuple(model(np.array([[3, 1, 4, 0], [1, 5, 9, 2]])).shape)
    (2, 10)

    Reference:
        [Tay et al., 2021](https://arxiv.org/abs/2011.04006), whose classifiers
        have this form.
    """

    def __init__(
        self,
        vocabulary_size,
        num_classes,
        attention="dot_product",
        num_layers=2,
        embedding_dim=128,
        num_heads=4,
        intermediate_dim=512,
        dropout=0.1,
        max_length=4096,
        positions="sinusoidal",
        pooling="mean",
        activation="gelu",
        normalize_first=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._config = {
            "vocabulary_size": vocabulary_size,
            "num_classes": num_classes,
            "attention": attention,
            "num_layers": num_layers,
            "embedding_dim": embedding_dim,
            "num_heads": num_heads,
            "intermediate_dim": intermediate_dim,
            "dropout": dropout,
            "max_length": max_length,
            "positions": positions,
            "pooling": pooling,
            "activation": activation,
            "normalize_first": normalize_first,
        }
        checks.positive_integer(
            vocabulary_size=vocabulary_size,
            num_classes=num_classes,
            num_layers=num_layers,
            embedding_dim=embedding_dim,
            max_length=max_length,
        )
        checks.one_of(("sinusoidal", "learned"), positions=positions)
        checks.one_of(("mean", "cls"), pooling=pooling)
        self.pooling = pooling
        options = {"dtype": self.dtype_policy}
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            embedding_dim,
            # As large as the sines added to it: Keras's default of 0.05 would
            # leave the tokens all but invisible among the positions.
            embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="embedding",
            **options,
        )
        if positions == "learned":
            # One more for the class token.
            self.positions = LearnedPositions(max_length + 1, **options)
        else:
            self.positions = SinusoidalPositions(**options)
        self.embedding_dropout = keras.layers.Dropout(dropout, **options)
        self.blocks = [
            TransformerEncoder(
                intermediate_dim,
                num_heads,
                attention,
                dropout,
                activation,
                normalize_first=normalize_first,
                name=f"block_{index}",
                **options,
            )
            for index in range(num_layers)
        ]
        self.final_norm = keras.layers.LayerNormalization(
            epsilon=1e-5, name="final_norm", **options
        )
        self.hidden = keras.layers.Dense(
            intermediate_dim, activation=activation, name="hidden", **options
        )
        self.hidden_dropout = keras.layers.Dropout(dropout, **options)
        self.head = keras.layers.Dense(num_classes, name="head", dtype="float32")

    def build(self, tokens_shape):
        dim = self._config["embedding_dim"]
        shape = (tokens_shape[0], None, dim)
        if self.pooling == "cls":
            self.class_token = self.add_weight(
                shape=(1, 1, dim), initializer="random_normal", name="class_token"
            )
        self.embedding.build(tokens_shape)
        for layer in (self.positions, *self.blocks, self.final_norm):
            layer.build(shape)
        self._check_pooling()
        self.hidden.build((tokens_shape[0], dim))
        self.head.build((tokens_shape[0], self._config["intermediate_dim"]))

    def call(self, tokens, training=None):
        x, real = self._embed(tokens, training)
        for block in self.blocks:
            x = block(x, padding_mask=real, training=training)
        x = self.final_norm(x)
        pooled = x[:, 0] if self.pooling == "cls" else _mean(x, real)
        hidden = self.hidden_dropout(self.hidden(pooled), training=training)
        return self.head(hidden)

    def _check_pooling(self):
        """Refuses a class token, which comes first, where none sees what follows."""
        attention = self.blocks[0].attention_layer
        if self.pooling == "cls" and getattr(attention, "causality", "") == "always":
            raise ValueError(
                f"{type(attention).__name__} is causal: a class token in front would "
                "see itself only. Use `pooling='mean'`. Received: pooling='cls'"
            )

    @property
    def has_attention_scores(self):
        """Whether the attention of a built model has weights to return."""
        return getattr(self.blocks[0].attention_layer, "pairwise_mask", True)

    def attention_scores(self, tokens):
        """The attention weights of every block.

        Args:
            tokens: Integer `(B, T)`.

        Returns:
            A list with one NumPy array `(B, heads, T, T)` per block, where T
            counts the class token if there is one.
        """
        x, real = self._embed(ops.convert_to_tensor(tokens), training=False)
        scores = []
        for block in self.blocks:
            x, weights = block(x, padding_mask=real, return_attention_scores=True)
            scores.append(ops.convert_to_numpy(weights))
        return scores

    def _embed(self, tokens, training):
        """Embedded tokens `(B, T, F)` and which of them are real `(B, T)`."""
        real = ops.not_equal(tokens, 0)
        x = self.embedding(tokens)
        if self.pooling == "cls":
            batch = ops.shape(tokens)[0]
            first = ops.broadcast_to(
                ops.cast(self.class_token, x.dtype), (batch, 1, x.shape[-1])
            )
            x = ops.concatenate([first, x], axis=1)
            real = ops.concatenate([ops.ones((batch, 1), dtype="bool"), real], axis=1)
        x = self.embedding_dropout(self.positions(x), training=training)
        return x, real

    def compute_output_shape(self, tokens_shape):
        return (tokens_shape[0], self._config["num_classes"])

    def get_config(self):
        return {**super().get_config(), **self._config}


def _mean(x, real):
    """Mean over the real steps, `(B, F)`; zero where there are none."""
    x = ops.cast(x, "float32")
    weights = ops.cast(real, "float32")[..., None]
    count = ops.maximum(ops.sum(weights, axis=1), 1.0)
    return ops.divide(ops.sum(ops.multiply(x, weights), axis=1), count)
