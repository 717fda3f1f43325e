"""A language model that generates text."""

import functools

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.models import generation
from keras_twa.models import parts
from keras_twa.models import sampling
from keras_twa.models.inputs import segments_of
from keras_twa.models.inputs import tokens_of
from keras_twa.models.token_transformer import TokenTransformer
from keras_twa.ops.packing import count


@keras.saving.register_keras_serializable(package="keras_twa")
class CausalLM(TokenTransformer):
    """Embedding, positions, causal encoder blocks, and logits of the next token.

    Token 0 is padding: no token attends to it, and it is never generated. In training,
    the targets are the tokens shifted by one step, and the loss must ignore padding:
    `keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)`.

    Several short texts may share a row: `datasets.pack` packs them, and
    `datasets.next_tokens` makes the targets. Each text then has the logits that it has
    alone.

    A text may also come in several calls. With `return_state=True`, a call returns a
    state, from which the next call continues.

    Args:
        vocabulary_size: Number of token ids, padding included.
        attention: Attention of every block: a name or text for `keras_twa.layers.get`,
            or an attention layer, which each block copies; or a list of these with one
            per block. To generate, it must have states, which "lsh" does not. Defaults
            to "dot_product".
        num_layers: Number of blocks. Defaults to 2.
        embedding_dim: Width F of the model. Defaults to 128.
        num_heads: Attention heads, if `attention` is a name. Defaults to 4.
        intermediate_dim: Width of the feed-forward networks. Defaults to 512.
        dropout: Dropout rate of embeddings and blocks. Defaults to 0.1.
        max_length: Longest text, for learned positions. Defaults to 4096.
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
        initial_state: The state from an earlier call, or `initial_state(B)`.
        return_state: Whether to return the state too. Packed rows have no states.

    Returns:
        Logits of the next token at each step, `(B, T, vocabulary_size)` in float32;
        with `return_state`, also the state.

    Raises:
        ValueError: If a size is not positive, a choice unknown, or the attention cannot
            be causal.

    Example:

    >>> from keras_twa.models import CausalLM
    >>> model = CausalLM(10, "retention", embedding_dim=16)
    >>> texts = model.generate([[3, 1, 4], [1]], max_new_tokens=2)
    >>> [len(text) for text in texts], texts[0][:3]
    ([5, 3], [3, 1, 4])

    Reference:
        [Radford et al., 2019](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf)
    """

    def __init__(
        self,
        vocabulary_size,
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
        checks.positive_integer(max_length=max_length)
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
        self.head = parts.head(vocabulary_size, self.dtype_policy)

    def build(self, inputs_shape):
        super().build(inputs_shape)
        for block in self.blocks:
            checks.can_be_causal(block.attention_layer)
        shape = tokens_of(inputs_shape)
        self.head.build((*shape[:2], self._config["embedding_dim"]))

    def call(self, inputs, training=None, initial_state=None, return_state=False):
        x, state = self._read(inputs, training, initial_state, return_state)
        logits = self.head(x)
        return (logits, state) if return_state else logits

    def initial_state(self, batch_size, max_length=None):
        """The state before the first token. Builds the model if it is not built.

        Args:
            batch_size: B.
            max_length: Number of steps with room in the state. With `None`, the state
                grows with each call if it has no fixed size.

        Returns:
            A dictionary: "blocks", a list of the states of the blocks, and "count",
            the number of real tokens so far `(B,)`.
        """
        if not self.built:
            self.build((None, None))
        states = [
            block.initial_state(batch_size, max_length=max_length)
            for block in self.blocks
        ]
        return {"blocks": states, "count": ops.zeros((batch_size,), "int32")}

    def generate(
        self, prompts, max_new_tokens, sampler="greedy", stop_tokens=(), seed=None
    ):
        """Continues prompts.

        Prompts may have different lengths, and each result is the same as for that
        prompt alone. Tokens beyond the length of the shortest prompt are read step by
        step. Prompts of similar length are therefore fastest.

        Args:
            prompts: A list of prompts, each a list of tokens; or one integer array
                `(B, T)`, padded with 0 on either side.
            max_new_tokens: The largest number of new tokens for each text.
            sampler: How to choose the next token: "greedy" (default), the most
                probable; "sample", a draw from the softmax; a `Sample`; or any function
                of logits `(B, vocabulary_size)` and `seed` that returns integers
                `(B,)`.
            stop_tokens: Tokens that end a text, or one such token. Defaults to none.
            seed: Integer seed of the sampler. On one backend, the same seed and prompts
                give the same texts. Defaults to a random seed.

        Returns:
            A list of lists of integers: each prompt with its continuation, up to and
            including a stop token if there is one. There is no padding.

        Raises:
            ValueError: If there is no prompt, a prompt is empty or has a token outside
                of the vocabulary, a text could become longer than the learned
                positions, an argument is out of range, the attention has no states, the
                sampler chooses no token, or the logits of an unfinished text are NaN,
                +infinity, or all -infinity.

        Example:

        >>> import numpy as np
        >>> from keras_twa.models import CausalLM
        >>> from keras_twa.models import Sample
        >>> model = CausalLM(10, embedding_dim=16)
        >>> sampler = Sample(temperature=0.8, top_p=0.95)
        >>> texts = model.generate(np.array([[0, 5, 6], [7, 8, 9]]), 4, sampler)
        >>> texts[0][:2], len(texts[0])
        ([5, 6], 6)
        """
        size = self._config["vocabulary_size"]
        checks.positive_integer(max_new_tokens=max_new_tokens)
        stop_tokens = np.atleast_1d(np.asarray(stop_tokens))
        if not stop_tokens.size:
            stop_tokens = stop_tokens.astype("int32")
        checks.tokens("stop_tokens", stop_tokens, size)
        prompts = generation.prompts_of(prompts, size)
        longest = max(len(prompt) for prompt in prompts) + max_new_tokens
        if self._config["positions"] == "learned":
            self._check_length(longest, max_new_tokens)
        choose = sampling.get(sampler)
        state = self.initial_state(len(prompts), generation.room_for(longest))
        seeds = keras.random.SeedGenerator(seed)
        values = [variable.value for variable in self.variables]
        return generation.go_on(
            prompts,
            max_new_tokens,
            stop_tokens,
            functools.partial(self._next_logits, values),
            lambda logits: choose(logits, seed=seeds),
            state,
        )

    def _read(self, inputs, training, state, return_state=True):
        """The output of the blocks, `(B, T, F)`, and the next state."""
        self._check_state(state)
        first = None if state is None else state["count"]
        tokens, ids = tokens_of(inputs), segments_of(inputs)
        x, real = self.embed(tokens, training, first=first, ids=ids)
        options = {"padding_mask": real, "use_causal_mask": True, "training": training}
        options["segment_ids"] = ids
        if state is None and not return_state:
            for block in self.blocks:
                x = block(x, **options)
            return self.final_norm(x), None
        before = [None] * len(self.blocks) if state is None else state["blocks"]
        after = []
        for block, one in zip(self.blocks, before, strict=True):
            x, one = block(x, initial_state=one, return_state=True, **options)
            after.append(one)
        read = count(real) + (0 if first is None else first)
        state = {"blocks": after, "count": read}
        return self.final_norm(x), state

    @functools.cached_property
    def _next_logits(self):
        """Compiled function of weights, tokens and a state; see `generation.go_on`."""

        def predict(tokens, state):
            x, state = self._read(tokens, False, state)
            logits = self.head(x[:, -1])
            wrong = generation.broken(logits)
            # Samplers never see broken logits: these raise an error or are not needed.
            logits = ops.where(wrong[:, None], 0.0, logits)
            padding = ops.equal(ops.arange(0, logits.shape[-1]), 0)
            return ops.where(padding, -float("inf"), logits), wrong, state

        return parts.compiled(self, predict)

    def _check_state(self, state):
        """Raises `ValueError` for a state that is not of this model."""
        if state is None:
            return
        checks.parts(state, {"blocks", "count"})
        if len(state["blocks"]) != len(self.blocks):
            raise ValueError(
                f"`initial_state` must have states of {len(self.blocks)} blocks. "
                f"Received: states of {len(state['blocks'])} blocks"
            )

    def _check_length(self, longest, max_new_tokens):
        max_length = self._config["max_length"]
        if longest > max_length:
            raise ValueError(
                "A prompt and its continuation must not be longer than the learned "
                f"positions, max_length={max_length}. Received: a prompt of "
                f"{longest - max_new_tokens} tokens, max_new_tokens={max_new_tokens}"
            )

    def compute_output_spec(
        self, inputs, training=None, initial_state=None, return_state=False
    ):
        self._check_state(initial_state)
        tokens = tokens_of(inputs)
        size, dim = self._config["vocabulary_size"], self._config["embedding_dim"]
        logits = keras.KerasTensor((*tokens.shape, size), dtype="float32")
        if not return_state:
            return logits
        x = keras.KerasTensor((*tokens.shape, dim), dtype=self.compute_dtype)
        given = {"blocks": [None] * len(self.blocks)}
        states = [
            block.compute_output_spec(
                x, use_causal_mask=True, initial_state=state, return_state=True
            )[1]
            for block, state in zip(
                self.blocks, (initial_state or given)["blocks"], strict=True
            )
        ]
        read = keras.KerasTensor((tokens.shape[0],), dtype="int32")
        return logits, {"blocks": states, "count": read}
