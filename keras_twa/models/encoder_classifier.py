"""A Transformer encoder that classifies whole sequences."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.blocks.feed_forward import ungated
from keras_twa.models import parts
from keras_twa.models.inputs import segments_of
from keras_twa.models.inputs import tokens_of
from keras_twa.models.token_transformer import TokenTransformer
from keras_twa.ops import backend


@keras.saving.register_keras_serializable(package="keras_twa")
class EncoderClassifier(TokenTransformer):
    """Embedding, positions, encoder blocks, pooling, and a classification head.

    Token 0 is padding: no token attends to it, and it does not count in the pooled
    mean. Padding at the end of a sequence therefore does not change its logits. Padding
    in front does, because it moves the tokens to later positions.

    Several short sequences may share a row, which has logits for each then.
    `datasets.pack` packs sequences and arranges their labels. Each sequence has the
    logits that it has alone.

    Args:
        vocabulary_size: Number of token ids, padding included.
        num_classes: Number of classes.
        attention: Attention of every block: a name or text for `keras_twa.layers.get`,
            or an attention layer, which each block copies; or a list of these with one
            per block. Defaults to "dot_product".
        num_layers: Number of encoder blocks. Defaults to 2.
        embedding_dim: Width F of the model. Defaults to 128.
        num_heads: Attention heads, if `attention` is a name. Defaults to 4.
        intermediate_dim: Width of the feed-forward networks and of the head.
            Defaults to 512.
        dropout: Dropout rate of embeddings, blocks and head. Defaults to 0.1.
        max_length: Longest sequence, for learned positions. Defaults to 4096.
        positions: "sinusoidal" (default) or "learned", added to the input; "rotary",
            "alibi", "t5" or "shaw", inside each attention that supports them; or
            `None`.
        pooling: "mean" over the real steps (default), or "cls": the final state
            of a learned token in front of the sequence.
        activation: Activation of the feed-forward networks: a name in Keras, "swiglu"
            or "geglu". The head uses it without the gate. Defaults to "gelu".
        normalize_first: Whether layer normalisation precedes each branch.
            Defaults to `True`.
        max_segments: The largest number of segments in packed rows. Defaults to `None`:
            rows cannot be packed.

    Call arguments:
        inputs: Tokens, integer `(B, T)`; or a dictionary of "tokens" and "segment_ids",
            integer `(B, T)`: the segments of packed rows, 0 for padding.
        training: Whether dropout is active.

    Returns:
        Logits `(B, num_classes)` in float32. For packed rows, `(B, max_segments,
        num_classes)`: those of the first segment of each row, of the second, and so on.
        Logits of segments that a row does not have mean nothing. If a row has more
        segments and their number is unknown, as in compiled functions, its logits are
        NaN.

    Raises:
        ValueError: If a size is not positive, a choice is unknown, the attention does
            not support the positions, or rows are packed without `max_segments`, with
            `pooling="cls"`, or with more segments.

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
        max_segments=None,
        **kwargs,
    ):
        if max_segments is not None:
            checks.positive_integer(max_segments=max_segments)
        checks.positive_integer(num_classes=num_classes, max_length=max_length)
        checks.one_of(("mean", "cls"), pooling=pooling)
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
            num_class_tokens=1,
            **kwargs,
        )
        self._config |= {
            "num_classes": num_classes,
            "pooling": pooling,
            "max_segments": max_segments,
        }
        self.pooling = pooling
        self.max_segments = max_segments
        options = {"dtype": self.dtype_policy}
        self.hidden = keras.layers.Dense(
            intermediate_dim,
            # A single layer has no gate.
            activation=ungated(activation),
            name="hidden",
            **options,
        )
        self.hidden_dropout = keras.layers.Dropout(dropout, **options)
        self.head = parts.head(num_classes, self.dtype_policy)

    def build(self, inputs_shape):
        dim = self._config["embedding_dim"]
        self.class_token = None
        if self.pooling == "cls":
            self.class_token = self.add_weight(
                shape=(1, 1, dim), initializer="random_normal", name="class_token"
            )
        super().build(inputs_shape)
        parts.check_pooling(self.pooling, self.blocks)
        batch = tokens_of(inputs_shape)[0]
        self.hidden.build((batch, dim))
        self.head.build((batch, self._config["intermediate_dim"]))

    def call(self, inputs, training=None):
        ids = segments_of(inputs)
        if ids is not None:
            self._check_segments(ids)
        x, real = self.embed(tokens_of(inputs), training, self.class_token, ids=ids)
        for block in self.blocks:
            x = block(x, padding_mask=real, training=training, segment_ids=ids)
        x = self.final_norm(x)
        if ids is not None:
            pooled = parts.mean_of_segments(x, ids, self.max_segments)
        else:
            pooled = x[:, 0] if self.pooling == "cls" else parts.mean_of_real(x, real)
        hidden = self.hidden_dropout(self.hidden(pooled), training=training)
        return self.head(hidden)

    def _check_segments(self, ids):
        """Raises if there are packed rows that the model cannot pool."""
        if self.max_segments is None or self.pooling == "cls":
            raise ValueError(
                "Packed rows need `max_segments` and `pooling='mean'`. Received: "
                f"segment_ids, max_segments={self.max_segments}, "
                f"pooling={self.pooling!r}"
            )
        known = backend.array(ids)
        most = 0 if known is None else int(known.max(initial=0))
        if most > self.max_segments:
            raise ValueError(
                f"A row must not have more than {self.max_segments} segments. "
                f"Received: a row of {most} segments"
            )

    @property
    def has_attention_scores(self):
        """Whether the attention of a built model can return attention weights."""
        return getattr(self.blocks[0].attention_layer, "pairwise_mask", True)

    def attention_scores(self, tokens):
        """The attention weights of every block. Builds the model if it is not built.

        Args:
            tokens: Integer `(B, T)`.

        Returns:
            A list with one NumPy array `(B, heads, T, T)` per block, where T
            counts the class token if there is one.
        """
        tokens = ops.convert_to_tensor(tokens)
        if not self.built:
            self.build(tokens.shape)
        x, real = self.embed(tokens, False, self.class_token)
        scores = []
        for block in self.blocks:
            x, weights = block(x, padding_mask=real, return_attention_scores=True)
            scores.append(ops.convert_to_numpy(weights))
        return scores

    def compute_output_spec(self, inputs, training=None):
        shape = (tokens_of(inputs).shape[0], self._config["num_classes"])
        if isinstance(inputs, dict) and "segment_ids" in inputs:
            shape = (shape[0], self.max_segments, shape[1])
        return keras.KerasTensor(shape, dtype="float32")
