"""A language model that reads long texts segment by segment, and remembers."""

import keras

from keras_twa.layers import checks
from keras_twa.models import parts
from keras_twa.models.memory import Memory
from keras_twa.models.token_transformer import TokenTransformer

MEMORIES = ("training", "evaluation")


@keras.saving.register_keras_serializable(package="keras_twa")
class SegmentLanguageModel(TokenTransformer):
    """Embedding, causal encoder blocks and logits, with a memory between batches.

    Row `b` of a batch continues from row `b` of the previous batch: each block keeps
    the state of its attention in variables of the model. Gradients do not flow from
    batch to batch. `datasets.cut_into_segments` makes such batches.

    Training has one memory, and evaluation and prediction share another, so validation
    does not affect training. `fit` resets the memory at the beginning of each epoch,
    `evaluate` and `predict` at the beginning of each call, and `reset_state` at any
    time. Like a stateful `keras.layers.RNN`, the model has a fixed batch size, that of
    its first batch.

    Token 0 is padding: no token attends to it.

    Args:
        vocabulary_size: Number of token ids, padding included.
        attention: Attention of every block: a name or text for `keras_twa.layers.get`,
            or an attention layer, which each block copies; or a list of these with one
            per block. With a memory, its state must have a fixed size, as in
            "transformer_xl" (default), "local", "linear", "performer" or "retention".
        num_layers: Number of blocks. Defaults to 2.
        embedding_dim: Width F of the model. Defaults to 128.
        num_heads: Attention heads, if `attention` is a name. Defaults to 4.
        intermediate_dim: Width of the feed-forward networks. Defaults to 512.
        dropout: Dropout rate of embeddings and blocks. Defaults to 0.1.
        activation: Activation of the feed-forward networks. Defaults to "gelu".
        normalize_first: Whether layer normalisation precedes each branch. Defaults to
            `True`.
        stateful: Whether there is a memory. Without it, batches are independent and
            may have any size. Defaults to `True`.

    Call arguments:
        inputs: Tokens, integer `(B, T)`; or a dictionary of "tokens" and "begins",
            boolean `(B,)` or `(B, 1)`: `True` for rows in which a document begins.
            These rows reset their memory.
        training: Whether dropout is active, and which memory is used: that of
            training if `True`, else that of evaluation.

    Returns:
        Logits of the next token at each step, `(B, T, vocabulary_size)` in float32.

    Raises:
        ValueError: If a size is not positive, the state of the attention grows, the
            batch size is unknown or not that of the first batch, or `shuffle` is
            `True`.

    Example:

    >>> import numpy as np
    >>> from keras import ops
    >>> from keras_twa.models import SegmentLanguageModel
    >>> model = SegmentLanguageModel(10, embedding_dim=16)
    >>> text = np.arange(1, 9)[None]
    >>> first, second = model(text[:, :4]), model(text[:, 4:])
    >>> model.reset_state()
    >>> whole = model(text)
    >>> bool(ops.all(ops.isclose(second, whole[:, 4:], atol=1e-4)))
    True

    Reference:
        [Dai et al., 2019](https://arxiv.org/abs/1901.02860)
    """

    def __init__(
        self,
        vocabulary_size,
        attention="transformer_xl",
        num_layers=2,
        embedding_dim=128,
        num_heads=4,
        intermediate_dim=512,
        dropout=0.1,
        activation="gelu",
        normalize_first=True,
        stateful=True,
        **kwargs,
    ):
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
            **kwargs,
        )
        self._config["stateful"] = stateful
        self.stateful = stateful
        self.head = parts.head(vocabulary_size, self.dtype_policy)
        self.memories = {name: Memory(name=name) for name in MEMORIES}

    def build(self, inputs_shape):
        shape = _tokens(inputs_shape)[:2]
        super().build(shape)
        self.head.build((*shape, self._config["embedding_dim"]))
        if not self.stateful:
            return
        if shape[0] is None:
            raise ValueError(
                "The memory has a fixed size, so the batch size must be known: give "
                f"`batch_shape`. Received: inputs of shape {inputs_shape}"
            )
        specs = [_state_spec(block.attention_layer) for block in self.blocks]
        for memory in self.memories.values():
            memory.build(specs, shape[0])

    def call(self, inputs, training=None):
        tokens = _tokens(inputs)
        begins = inputs.get("begins") if isinstance(inputs, dict) else None
        x, real = self.embed(tokens, training)
        options = {"padding_mask": real, "use_causal_mask": True, "training": training}
        if self.stateful:
            x = self._remember(x, begins, training, options)
        else:
            for block in self.blocks:
                x = block(x, **options)
        return self.head(self.final_norm(x))

    def _remember(self, x, begins, training, options):
        """The outputs of the blocks, which continue from the last batch."""
        memory = self.memories["training" if training else "evaluation"]
        states = []
        for block, state in zip(self.blocks, memory.read(begins), strict=True):
            x, state = block(
                x, initial_state={"attention": state}, return_state=True, **options
            )
            states.append(state["attention"])
        memory.write(states)
        return x

    def reset_state(self, memory=None):
        """Resets the memory.

        Args:
            memory: "training" or "evaluation". Defaults to both.
        """
        if memory is not None:
            checks.one_of(MEMORIES, memory=memory)
        for name, one in self.memories.items():
            if one.built and memory in (None, name):
                one.reset()

    def fit(self, *arguments, shuffle=False, callbacks=None, **options):
        """Trains as `keras.Model.fit` does; each epoch begins with an empty memory."""
        if self.stateful and shuffle:
            raise ValueError(
                "Rows must stay in order, because they continue from batch to batch. "
                f"Received: shuffle={shuffle!r}"
            )
        reset = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda *_: self.reset_state("training")
        )
        given = [] if callbacks is None else keras.tree.flatten(callbacks)
        options |= {"shuffle": shuffle, "callbacks": [*given, reset]}
        return super().fit(*arguments, **options)

    def evaluate(self, *arguments, **options):
        """Evaluates as `keras.Model.evaluate` does, with an empty memory at first."""
        self.reset_state("evaluation")
        return super().evaluate(*arguments, **options)

    def predict(self, *arguments, **options):
        """Predicts as `keras.Model.predict` does, with an empty memory at first."""
        self.reset_state("evaluation")
        return super().predict(*arguments, **options)

    def compute_output_spec(self, inputs, training=None):
        shape = (*_tokens(inputs).shape, self._config["vocabulary_size"])
        return keras.KerasTensor(shape, dtype="float32")


def _tokens(inputs):
    """The tokens among the inputs, or their shape among the shapes."""
    return inputs["tokens"] if isinstance(inputs, dict) else inputs


def _state_spec(attention):
    """The `Slot`s of a layer's state, if that has a fixed size."""
    if not attention.has_fixed_state():
        raise ValueError(
            f"The state of {type(attention).__name__} grows with each segment, and a "
            "memory has a fixed size: take another, such as 'transformer_xl', or "
            f"`stateful=False`. Received: attention={attention.name!r}"
        )
    return attention.state_spec()
