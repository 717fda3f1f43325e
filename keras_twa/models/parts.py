"""What the models are put together from."""

import keras
from keras import ops

from keras_twa.layers import LearnedPositions
from keras_twa.layers import SinusoidalPositions
from keras_twa.layers import TransformerEncoder
from keras_twa.layers import checks
from keras_twa.layers import get
from keras_twa.layers.normalization import LayerNormalization
from keras_twa.layers.positions import INSIDE_ATTENTION
from keras_twa.layers.quantized import described
from keras_twa.layers.quantized import in_float32
from keras_twa.ops import backend

AT_THE_INPUT = ("sinusoidal", "learned")


def copy_of(attention, dtype=None):
    """A name as it is, and a new layer from the description of one.

    Args:
        attention: The name, or the description.
        dtype: Dtype policy of the model, which may say what is quantized.
    """
    return attention if isinstance(attention, str) else described(attention, dtype)


def encoder_blocks(
    num_layers,
    attention,
    num_heads,
    intermediate_dim,
    dropout,
    activation,
    normalize_first,
    dtype,
    positions=None,
    embedding_dim=None,
    name="block",
):
    """Encoder blocks, each with attention of its own.

    Args:
        num_layers: How many.
        attention: The name of an attention, or the description of a layer: what
            `keras.saving.serialize_keras_object` makes of either.
        num_heads: Attention heads, where `attention` is a name.
        intermediate_dim: Width of the feed-forward networks.
        dropout: Dropout rate of the blocks.
        activation: Activation of the feed-forward networks.
        normalize_first: Whether layer normalisation precedes each branch.
        dtype: Dtype policy.
        positions: A kind of positions. Some are inside of each attention.
        embedding_dim: Width of the model, for positions inside.
        name: What their names begin with.
    """
    return [
        TransformerEncoder(
            intermediate_dim,
            num_heads,
            block_attention(attention, positions, num_heads, embedding_dim, dtype),
            dropout,
            activation,
            normalize_first=normalize_first,
            name=f"{name}_{index}",
            dtype=dtype,
        )
        for index in range(num_layers)
    ]


def block_attention(attention, positions, num_heads, embedding_dim, dtype):
    """The attention of a block: its name, or a layer of its own."""
    if positions not in INSIDE_ATTENTION:
        return copy_of(attention, dtype)
    if not isinstance(attention, str):
        raise ValueError(
            "An attention layer has positions of its own: give it `positions` in place "
            f"of the model. Received: positions={positions!r}"
        )
    checks.positive_integer(num_heads=num_heads, embedding_dim=embedding_dim)
    if embedding_dim % num_heads:
        raise ValueError(
            "`embedding_dim` must be divisible by `num_heads`. Received: "
            f"embedding_dim={embedding_dim}, num_heads={num_heads}"
        )
    return get(
        attention,
        num_heads=num_heads,
        key_dim=embedding_dim // num_heads,
        positions=positions,
        dtype=dtype,
        name="attention",
    )


def final_norm(dtype, name="final_norm"):
    """The layer normalisation after the last block."""
    return LayerNormalization(epsilon=1e-5, name=name, dtype=dtype)


def head(units, dtype):
    """The dense layer that makes the logits, in float32."""
    return keras.layers.Dense(units, name="head", dtype=in_float32(dtype))


def position_layer(positions, max_length, dtype, name=None):
    """The layer that adds positions to the input, or `None` if none are added there."""
    checks.one_of((*AT_THE_INPUT, *INSIDE_ATTENTION, None), positions=positions)
    if positions == "learned":
        return LearnedPositions(max_length, dtype=dtype, name=name)
    if positions == "sinusoidal":
        return SinusoidalPositions(dtype=dtype, name=name)
    return None


def check_pooling(pooling, block):
    """Refuses a class token, which comes first, where none sees what follows."""
    attention = block.attention_layer
    if pooling == "cls" and getattr(attention, "causality", "") == "always":
        raise ValueError(
            f"{type(attention).__name__} is causal: a class token in front would "
            "see itself only. Use `pooling='mean'`. Received: pooling='cls'"
        )


def with_class_token(x, token):
    """`(B, T, F)` with a token `(1, 1, F)` in front of each sequence."""
    shape = (ops.shape(x)[0], 1, x.shape[-1])
    first = ops.broadcast_to(ops.cast(token, x.dtype), shape)
    return ops.concatenate([first, x], axis=1)


def compiled(model, function):
    """A function of a built model, compiled, which takes the weights' values first.

    Were the weights not arguments, what was compiled would keep them as they were.
    """

    def run(values, *arguments):
        mapping = zip(model.variables, values, strict=True)
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    return backend.compiled(run)


def mean_of_real(x, real):
    """Mean over the real steps, `(B, F)` in float32; zero where there are none."""
    x = ops.cast(x, "float32")
    weights = ops.cast(real, "float32")[..., None]
    count = ops.maximum(ops.sum(weights, axis=1), 1.0)
    return ops.divide(ops.sum(ops.multiply(x, weights), axis=1), count)
