"""A Transformer that generates one sequence and attends to another."""

import functools

import keras
from keras import ops

from keras_twa.layers import TransformerDecoder
from keras_twa.layers import checks
from keras_twa.layers import each_block
from keras_twa.layers.quantized import dtype_config
from keras_twa.models import generation
from keras_twa.models import parts
from keras_twa.models.beam_search import beam_search
from keras_twa.models.beam_search import check_search
from keras_twa.ops.packing import numbers

ATTENTIONS = ("encoder_attention", "decoder_attention", "cross_attention")


@keras.saving.register_keras_serializable(package="keras_twa")
class EncoderDecoder(keras.Model):
    """Encoder blocks over a source, causal decoder blocks over a target, and logits.

    Training uses teacher forcing: `fit` takes a dictionary of sources and targets, and
    the next token at each step of the target. `generate` then generates targets.

    Token 0 is padding in both, and no token attends to it. Positions count the tokens
    of each row, so padding at any place does not change the logits of the tokens.

    Args:
        source_vocabulary_size: Number of token ids of sources, padding included.
        target_vocabulary_size: Number of token ids of targets, padding included.
        encoder_attention: Self-attention of the encoder blocks: a name or text for
            `keras_twa.layers.get`, or an attention layer, which each block copies; or a
            list of these with one per block. Defaults to "dot_product".
        decoder_attention: Self-attention of the decoder blocks, likewise.
        cross_attention: Attention of the decoder blocks to the source, likewise.
        num_layers: Number of encoder blocks, and of decoder blocks. Defaults to 2.
        embedding_dim: Width F of the model. Defaults to 128.
        num_heads: Attention heads, if an attention is a name. Defaults to 4.
        intermediate_dim: Width of the feed-forward networks. Defaults to 512.
        dropout: Dropout rate of embeddings and blocks. Defaults to 0.1.
        max_length: Longest source and target, for learned positions. Defaults to 4096.
        positions: "sinusoidal" (default) or "learned", added to both inputs; "rotary",
            "alibi", "t5" or "shaw", inside each self-attention that supports them; or
            `None`.
        activation: Activation of the feed-forward networks: a name in Keras, "swiglu"
            or "geglu". Defaults to "gelu".
        normalize_first: Whether layer normalisation precedes each branch.
            Defaults to `True`.
        tie_embeddings: Whether the logits are inner products with the embeddings of the
            target's tokens. Defaults to `False`: they have separate weights.

    Call arguments:
        inputs: A dictionary of tokens: "source", integer `(B, S)`, and "target",
            integer `(B, T)`.
        training: Whether dropout is active.

    Returns:
        Logits of the next token at each step of the target,
        `(B, T, target_vocabulary_size)` in float32.

    Raises:
        ValueError: If a size is not positive, a choice is unknown, or a sequence is
            longer than the learned positions.

    Example:

    >>> import numpy as np
    >>> from keras_twa.models import EncoderDecoder
    >>> model = EncoderDecoder(17, 19, embedding_dim=16)
    >>> source, target = np.array([[3, 1, 4, 0]]), np.array([[1, 5, 9]])
    >>> tuple(model({"source": source, "target": target}).shape)
    (1, 3, 19)
    >>> tokens = model.generate(source, max_length=5, start_token=1, end_token=2)
    >>> tokens.shape[0], tokens.shape[1] <= 5
    (1, True)

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)
    """

    def __init__(
        self,
        source_vocabulary_size,
        target_vocabulary_size,
        encoder_attention="dot_product",
        decoder_attention="dot_product",
        cross_attention="dot_product",
        num_layers=2,
        embedding_dim=128,
        num_heads=4,
        intermediate_dim=512,
        dropout=0.1,
        max_length=4096,
        positions="sinusoidal",
        activation="gelu",
        normalize_first=True,
        tie_embeddings=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._config = {
            "source_vocabulary_size": source_vocabulary_size,
            "target_vocabulary_size": target_vocabulary_size,
            "encoder_attention": parts.serialized(encoder_attention),
            "decoder_attention": parts.serialized(decoder_attention),
            "cross_attention": parts.serialized(cross_attention),
            "num_layers": num_layers,
            "embedding_dim": embedding_dim,
            "num_heads": num_heads,
            "intermediate_dim": intermediate_dim,
            "dropout": dropout,
            "max_length": max_length,
            "positions": positions,
            "activation": activation,
            "normalize_first": normalize_first,
            "tie_embeddings": tie_embeddings,
        }
        checks.positive_integer(
            source_vocabulary_size=source_vocabulary_size,
            target_vocabulary_size=target_vocabulary_size,
            num_layers=num_layers,
            embedding_dim=embedding_dim,
            max_length=max_length,
        )
        policy = self.dtype_policy
        self.source_embedding = self._embedding("source_embedding")
        self.target_embedding = self._embedding("target_embedding")
        self.source_positions, self.target_positions = (
            parts.position_layer(positions, max_length, policy, name)
            for name in ("source_positions", "target_positions")
        )
        self.embedding_dropout = keras.layers.Dropout(dropout, dtype=policy)
        self.encoder_blocks = parts.encoder_blocks(
            num_layers,
            self._config["encoder_attention"],
            num_heads,
            intermediate_dim,
            dropout,
            activation,
            normalize_first,
            policy,
            positions,
            embedding_dim,
            name="encoder_block",
        )
        by_name = [each_block(self._config[x], num_layers, x) for x in ATTENTIONS]
        attentions = zip(*by_name[1:], strict=True)
        self.decoder_blocks = [
            TransformerDecoder(
                intermediate_dim,
                num_heads,
                parts.block_attention(
                    attention,
                    positions,
                    num_heads,
                    embedding_dim,
                    policy,
                ),
                parts.copy_of(across, policy),
                dropout,
                activation,
                normalize_first=normalize_first,
                name=f"decoder_block_{index}",
                dtype=policy,
            )
            for index, (attention, across) in enumerate(attentions)
        ]
        self.encoder_norm, self.decoder_norm = (
            parts.final_norm(policy, name) for name in ("encoder_norm", "decoder_norm")
        )
        self.head = None
        if not tie_embeddings:
            self.head = parts.head(target_vocabulary_size, policy)

    def build(self, inputs_shape):
        _check_inputs(inputs_shape)
        batch = inputs_shape["source"][0]
        shape = (batch, None, self._config["embedding_dim"])
        for layer in (self.source_embedding, self.target_embedding):
            layer.build((batch, None))
        for block in self.decoder_blocks:
            block.build(shape, shape)
        places = (self.source_positions, self.target_positions)
        norms = (self.encoder_norm, self.decoder_norm)
        for layer in (*places, *self.encoder_blocks, *norms, self.head):
            if layer is not None:
                layer.build(shape)

    def call(self, inputs, training=None):
        _check_inputs(inputs)
        encoded, real = self.encode(inputs["source"], training)
        target = inputs["target"]
        x = self._embed("target", target, numbers(ops.not_equal(target, 0)), training)
        for block in self.decoder_blocks:
            x = block(
                x,
                encoded,
                decoder_padding_mask=ops.not_equal(target, 0),
                encoder_padding_mask=real,
                training=training,
            )
        return self._logits(x)

    def encode(self, source, training=None):
        """Runs the encoder. Builds the model if it is not built.

        Args:
            source: Integer `(B, S)`.
            training: Whether dropout is active.

        Returns:
            The encoded source `(B, S, F)`, and a boolean `(B, S)`: `True` for tokens,
            `False` for padding.
        """
        self._build_for(source)
        real = ops.not_equal(source, 0)
        x = self._embed("source", source, numbers(real), training)
        for block in self.encoder_blocks:
            x = block(x, padding_mask=real, training=training)
        return self.encoder_norm(x), real

    def generate(
        self,
        source,
        max_length,
        start_token,
        end_token,
        beam_size=1,
        length_penalty=0.6,
    ):
        """Generates a target for each source by beam search.

        It compiles once for each shape of the sources, each `beam_size`, and each 64
        steps of `max_length`. Sources padded to a common length are fastest.

        Args:
            source: Integer `(B, S)`, an array or a tensor.
            max_length: The largest number of tokens in a target.
            start_token: The token that targets begin with in training.
            end_token: The token that targets end with in training.
            beam_size: Number of unfinished or finished targets that each step keeps for
                each source. With 1 (default), each step takes the most probable token.
            length_penalty: Exponent in the score
                `log p / ((5 + length) / 6)^length_penalty`, where `p` is the
                probability of the target. The target with the highest score is
                returned. With 0, this is the most probable target, which is often
                short. Larger values favour longer targets. Defaults to 0.6.

        Returns:
            The targets, without the start token and including the end token: a NumPy
            array `(B, length)`, padded with 0.

        Raises:
            ValueError: If an argument is out of range, `source` has a token outside of
                the vocabulary, a sequence is longer than the learned positions, or the
                logits of an unfinished target are NaN, +infinity, or all -infinity.

        Reference:
            [Wu et al., 2016](https://arxiv.org/abs/1609.08144)
        """
        source = generation.sources_of(source, self._config["source_vocabulary_size"])
        tokens = {"start_token": start_token, "end_token": end_token}
        size = self._config["target_vocabulary_size"]
        check_search(size, max_length, beam_size, length_penalty, **tokens)
        self._check_lengths(source=source.shape[1], target=max_length)
        self._build_for(source)
        values = [variable.value for variable in self.variables]
        # All beams of a source share this, so it is not part of their states.
        projected = keras.tree.map_structure(
            lambda x: ops.repeat(x, beam_size, axis=0),
            self._projected_source(values, source),
        )
        rows, room = len(source) * beam_size, generation.room_for(max_length)
        states = [
            {
                "self_attention": block.self_attention_layer.initial_state(
                    rows, max_length=room
                ),
                "count": ops.zeros((rows,), "int32"),
            }
            for block in self.decoder_blocks
        ]
        return beam_search(
            lambda tokens, states, number: self._next_logits(
                values, tokens, states, projected
            ),
            states,
            len(source),
            max_length,
            start_token,
            end_token,
            beam_size,
            length_penalty,
        )

    def _build_for(self, source):
        """Builds the model if it is not built, from a source only."""
        if not self.built:
            self.build({"source": source.shape, "target": (source.shape[0], None)})

    @functools.cached_property
    def _projected_source(self):
        """Compiled function of weights and a source.

        Returns:
            The projection of the source by the cross-attention of each decoder block.
        """

        def project(source):
            encoded, real = self.encode(ops.convert_to_tensor(source))
            return [
                block.cross_attention_layer.project(encoded, value_mask=real)
                for block in self.decoder_blocks
            ]

        return parts.compiled(self, project)

    @functools.cached_property
    def _next_logits(self):
        """Compiled function of weights, tokens, states and the projected source.

        Returns:
            The logits after one more token `(N, vocabulary)`, and the next states.
        """

        def predict(tokens, states, projected):
            tokens = ops.convert_to_tensor(tokens)[:, None]
            x = self._embed("target", tokens, states[0]["count"][:, None])
            x, after = x[:, 0], []
            given = zip(self.decoder_blocks, states, projected, strict=True)
            for block, state, source in given:
                x, state = block.step(x, {**state, "cross_attention": source})
                del state["cross_attention"]
                after.append(state)
            return self._logits(x), after

        return parts.compiled(self, predict)

    def _embed(self, name, tokens, positions, training=None):
        embedding = getattr(self, f"{name}_embedding")
        x = embedding(tokens) * self._config["embedding_dim"] ** 0.5
        places = getattr(self, f"{name}_positions")
        if places is not None:
            x = places(x, positions=positions)
        return self.embedding_dropout(x, training=training)

    def _check_lengths(self, **lengths):
        """Raises `ValueError` for sequences longer than the learned positions."""
        longest = self._config["max_length"]
        for name, length in lengths.items():
            if self._config["positions"] == "learned" and length > longest:
                raise ValueError(
                    f"The model's learned positions end at {longest} steps. "
                    f"Received: a {name} of up to {length}"
                )

    def _logits(self, x):
        x = self.decoder_norm(x)
        if self.head is not None:
            return self.head(x)
        return self.target_embedding(x, reverse=True)

    def _embedding(self, name):
        dim = self._config["embedding_dim"]
        return keras.layers.ReversibleEmbedding(
            self._config[f"{name.removesuffix('_embedding')}_vocabulary_size"],
            dim,
            # Scaled by the root of the width, they are as large as the added sines.
            embeddings_initializer=keras.initializers.RandomNormal(stddev=dim**-0.5),
            reverse_dtype="float32",
            name=name,
            dtype=self.dtype_policy,
        )

    def compute_output_spec(self, inputs, training=None):
        _check_inputs(inputs)
        shape = (*inputs["target"].shape, self._config["target_vocabulary_size"])
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        own = parts.saved(self._config, *ATTENTIONS)
        return {**super().get_config(), **dtype_config(self), **own}

    @classmethod
    def from_config(cls, config):
        return cls(**parts.loaded(config, *ATTENTIONS))


def _check_inputs(inputs):
    """Raises `ValueError` for inputs, or shapes, without a source and a target."""
    if not isinstance(inputs, dict) or not {"source", "target"} <= {*inputs}:
        given = [*inputs] if isinstance(inputs, dict) else type(inputs).__name__
        raise ValueError(
            'Inputs must be a dictionary of tokens, "source" and "target". '
            f"Received: inputs={given!r}"
        )
