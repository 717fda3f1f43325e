"""A Transformer encoder that classifies each token."""

import keras

from keras_twa.layers import checks
from keras_twa.masks import carry_mask
from keras_twa.models import parts
from keras_twa.models.inputs import real_of
from keras_twa.models.inputs import segments_of
from keras_twa.models.inputs import tokens_of
from keras_twa.models.token_transformer import TokenTransformer


@keras.saving.register_keras_serializable(package="keras_twa")
class TokenClassifier(TokenTransformer):
    """Embedding, positions, encoder blocks, and logits of a class for each token.

    Token 0 is padding: no token attends to it. Padding at the end of a sequence
    therefore does not change the logits of its tokens. Padding in front does, because
    it moves them to later positions. The mask of the real tokens is attached to the
    logits, so that losses and metrics ignore padding in `fit` and `evaluate`.

    Args:
        vocabulary_size: Number of token ids, padding included.
        num_classes: Number of classes.
        attention: Attention of every block: a name or text for `keras_twa.layers.get`,
            or an attention layer, which each block copies; or a list of these with one
            per block. Defaults to "dot_product".
        num_layers: Number of encoder blocks. Defaults to 2.
        embedding_dim: Width F of the model. Defaults to 128.
        num_heads: Attention heads, if `attention` is a name. Defaults to 4.
        intermediate_dim: Width of the feed-forward networks. Defaults to 512.
        dropout: Dropout rate of embeddings and blocks. Defaults to 0.1.
        max_length: Longest sequence, for learned positions. Defaults to 4096.
        positions: "sinusoidal" (default) or "learned", added to the input; "rotary",
            "alibi", "t5" or "shaw", inside each attention that supports them; or
            `None`.
        activation: Activation of the feed-forward networks. Defaults to "gelu".
        normalize_first: Whether layer normalisation precedes each branch. Defaults to
            `True`.

    Call arguments:
        inputs: Tokens, integer `(B, T)`; or a dictionary of "tokens" and "segment_ids",
            integer `(B, T)`: the segments of packed rows, 0 for padding.
        training: Whether dropout is active.

    Returns:
        Logits `(B, T, num_classes)` in float32.

    Raises:
        ValueError: If a size is not positive or a choice is unknown.

    Example:

    >>> import numpy as np
    >>> from keras_twa.models import TokenClassifier
    >>> model = TokenClassifier(17, 3, "local", embedding_dim=16)
    >>> tuple(model(np.array([[3, 1, 4, 0], [1, 5, 9, 2]])).shape)
    (2, 4, 3)

    Reference:
        [Devlin et al., 2019](https://arxiv.org/abs/1810.04805), section 5.3
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
        activation="gelu",
        normalize_first=True,
        **kwargs,
    ):
        checks.positive_integer(num_classes=num_classes, max_length=max_length)
        super().__init__(
            vocabulary_size=vocabulary_size,
            attention=attention,
            num_layers=num_layers,
            embedding_dim=embedding_dim,
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            dropout=dropout,
            activation=activation,
            normalize_first=normalize_first,
            positions=positions,
            max_length=max_length,
            **kwargs,
        )
        self._config["num_classes"] = num_classes
        self.head = parts.head(num_classes, self.dtype_policy)

    def build(self, inputs_shape):
        super().build(inputs_shape)
        shape = tokens_of(inputs_shape)
        self.head.build((*shape[:2], self._config["embedding_dim"]))

    def call(self, inputs, training=None):
        ids = segments_of(inputs)
        x, real = self.embed(tokens_of(inputs), training, ids=ids)
        for block in self.blocks:
            x = block(x, padding_mask=real, training=training, segment_ids=ids)
        logits = self.head(self.final_norm(x))
        # On JAX, `fit` does not use `__call__`, which would do this.
        return carry_mask(logits, real)

    def compute_mask(self, inputs, previous_mask=None):
        return real_of(inputs)

    def compute_output_spec(self, inputs, training=None):
        shape = (*tokens_of(inputs).shape, self._config["num_classes"])
        return keras.KerasTensor(shape, dtype="float32")
