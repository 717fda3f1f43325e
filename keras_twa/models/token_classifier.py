"""A Transformer encoder that puts each token into a class."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.masks import carry_mask
from keras_twa.models import parts
from keras_twa.models.token_transformer import TokenTransformer


@keras.saving.register_keras_serializable(package="keras_twa")
class TokenClassifier(TokenTransformer):
    """Embedding, positions, encoder blocks, and logits of a class for each token.

    Token 0 is padding: nothing attends to it. So padding at the end of a sequence does
    not change the logits of its tokens; padding in front does, as it moves them to
    later positions. The logits carry the mask of the real tokens:
    in `fit` and `evaluate`, Keras leaves the others out of losses and metrics.

    Args:
        vocabulary_size: Number of token ids, padding included.
        num_classes: Number of classes.
        attention: Attention of every block: a name that `keras_twa.layers.get` knows,
            or an attention layer, of which each block takes a copy. Defaults to
            "dot_product".
        num_layers: Number of encoder blocks. Defaults to 2.
        embedding_dim: Width F of the model. Defaults to 128.
        num_heads: Attention heads, where `attention` is a name. Defaults to 4.
        intermediate_dim: Width of the feed-forward networks. Defaults to 512.
        dropout: Dropout rate of embeddings and blocks. Defaults to 0.1.
        max_length: Longest sequence, for learned positions. Defaults to 4096.
        positions: "sinusoidal" (default) or "learned", which are added to the input;
            "rotary", "alibi", "t5" or "shaw", which are inside of each attention that
            is defined with them; or `None`.
        activation: Activation of the feed-forward networks. Defaults to "gelu".
        normalize_first: Whether layer normalisation precedes each branch. Defaults to
            `True`.

    Call arguments:
        tokens: Integer `(B, T)`.
        training: Whether dropout is active.

    Returns:
        Logits `(B, T, num_classes)` in float32.

    Raises:
        ValueError: If a size is not positive or a choice unknown.

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
            vocabulary_size,
            attention,
            num_layers,
            embedding_dim,
            num_heads,
            intermediate_dim,
            dropout,
            activation,
            normalize_first,
            positions,
            max_length,
            **kwargs,
        )
        self._config |= {
            "num_classes": num_classes,
            "max_length": max_length,
            "positions": positions,
        }
        self.head = parts.head(num_classes, self.dtype_policy)

    def build(self, tokens_shape):
        super().build(tokens_shape)
        self.head.build((*tokens_shape[:2], self._config["embedding_dim"]))

    def call(self, tokens, training=None):
        x, real = self.embed(tokens, training)
        for block in self.blocks:
            x = block(x, padding_mask=real, training=training)
        logits = self.head(self.final_norm(x))
        # On JAX, `fit` does without `__call__`, which would do this.
        return carry_mask(logits, real)

    def compute_mask(self, tokens, previous_mask=None):
        return ops.not_equal(tokens, 0)

    def compute_output_spec(self, tokens, training=None):
        shape = (*tokens.shape, self._config["num_classes"])
        return keras.KerasTensor(shape, dtype="float32")
