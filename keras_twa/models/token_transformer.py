"""The base of models of tokens: embedding, positions and encoder blocks."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.quantized import dtype_config
from keras_twa.models import parts
from keras_twa.models.inputs import tokens_of
from keras_twa.ops.packing import numbers
from keras_twa.ops.segments import numbers_within


class TokenTransformer(keras.Model):
    """Abstract model of tokens; subclasses add a call and a head.

    Token 0 is padding.

    Args:
        vocabulary_size: Number of token ids, padding included.
        attention: Attention of every block: a name or text for `keras_twa.layers.get`,
            or an attention layer, which each block copies; or a list of these with one
            per block.
        num_layers: Number of encoder blocks.
        embedding_dim: Width F of the model.
        num_heads: Attention heads, if `attention` is a name.
        intermediate_dim: Width of the feed-forward networks.
        dropout: Dropout rate of embeddings and blocks.
        activation: Activation of the feed-forward networks.
        normalize_first: Whether layer normalisation precedes each branch.
        positions: "sinusoidal" or "learned", added to the embeddings; a kind of
            positions inside each attention; or `None`.
        max_length: Longest sequence, for learned positions; `None` for a model without
            this argument and without `positions` in its configuration.
        num_class_tokens: How many steps the model puts in front of a sequence.
    """

    def __init__(
        self,
        *,
        vocabulary_size,
        attention,
        num_layers,
        embedding_dim,
        num_heads,
        intermediate_dim,
        dropout,
        activation,
        normalize_first,
        positions=None,
        max_length=None,
        num_class_tokens=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.positive_integer(
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
            embedding_dim=embedding_dim,
        )
        self._config = {
            "vocabulary_size": vocabulary_size,
            "attention": parts.serialized(attention),
            "num_layers": num_layers,
            "embedding_dim": embedding_dim,
            "num_heads": num_heads,
            "intermediate_dim": intermediate_dim,
            "dropout": dropout,
            "activation": activation,
            "normalize_first": normalize_first,
        }
        num_positions = None
        if max_length is not None:
            self._config |= {"max_length": max_length, "positions": positions}
            num_positions = max_length + num_class_tokens
        options = {"dtype": self.dtype_policy}
        if positions in parts.AT_THE_INPUT:
            # As large as the added sines: with Keras's default of 0.05, positions would
            # hide the tokens.
            normal = keras.initializers.RandomNormal(stddev=1.0)
            options["embeddings_initializer"] = normal
        self.embedding = keras.layers.Embedding(
            vocabulary_size, embedding_dim, name="embedding", **options
        )
        self.positions = parts.position_layer(
            positions, num_positions, self.dtype_policy
        )
        self.embedding_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.blocks = parts.encoder_blocks(
            num_layers,
            self._config["attention"],
            num_heads,
            intermediate_dim,
            dropout,
            activation,
            normalize_first,
            self.dtype_policy,
            positions,
            embedding_dim,
        )
        self.final_norm = parts.final_norm(self.dtype_policy)

    def build(self, inputs_shape):
        tokens_shape = tokens_of(inputs_shape)
        # A class token would add one step.
        shape = (tokens_shape[0], None, self._config["embedding_dim"])
        self.embedding.build(tokens_shape)
        if self.positions is not None:
            self.positions.build(shape)
        for layer in (*self.blocks, self.final_norm):
            layer.build(shape)

    def embed(self, tokens, training=None, class_token=None, first=None, ids=None):
        """Embeds tokens, and returns which of them are real.

        Positions count the real tokens of each row, or of each segment of packed rows.

        Args:
            tokens: Integer `(B, T)`.
            training: Whether dropout is active.
            class_token: Token to put in front, `(1, 1, F)`, or `None`. It is real.
            first: Number of earlier real tokens of each row, integer `(B,)`. Defaults
                to none.
            ids: The segments of packed rows, integer `(B, T)`, 0 for padding, or
                `None`. There is no class token then.

        Returns:
            `(B, T, F)` and boolean `(B, T)`, where T counts the class token.
        """
        real = ops.not_equal(tokens if ids is None else ids, 0)
        x = self.embedding(tokens)
        if class_token is not None:
            x = parts.with_class_token(x, class_token)
            always = ops.ones((ops.shape(tokens)[0], 1), dtype="bool")
            real = ops.concatenate([always, real], axis=1)
        if self.positions is not None:
            before = 0 if first is None else first[:, None]
            counted = numbers(real, before) if ids is None else numbers_within(ids)
            x = self.positions(x, positions=counted)
        return self.embedding_dropout(x, training=training), real

    def get_config(self):
        own = parts.saved(self._config, "attention")
        return {**super().get_config(), **dtype_config(self), **own}

    @classmethod
    def from_config(cls, config):
        return cls(**parts.loaded(config, "attention"))
