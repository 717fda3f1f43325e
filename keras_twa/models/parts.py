"""The parts of the models."""

import keras
from keras import ops

from keras_twa.layers import LearnedPositions
from keras_twa.layers import SinusoidalPositions
from keras_twa.layers import TransformerEncoder
from keras_twa.layers import checks
from keras_twa.layers import each_block
from keras_twa.layers import get
from keras_twa.layers.normalization import LayerNormalization
from keras_twa.layers.positions import INSIDE_ATTENTION
from keras_twa.layers.quantized import described
from keras_twa.layers.quantized import in_float32
from keras_twa.layers.saved_texts import as_saved
from keras_twa.layers.saved_texts import to_save
from keras_twa.masks import hide_padding
from keras_twa.mechanism import as_texts
from keras_twa.ops import backend

AT_THE_INPUT = ("sinusoidal", "learned")


def serialized(attention):
    """An attention as the configuration of a model holds it.

    Args:
        attention: A name, a text such as "local(window=32)", a `Mechanism`, a layer, or
            a list of these with one per block.

    Returns:
        A text, the description of a layer, or a list of these.
    """
    return keras.saving.serialize_keras_object(as_texts(attention))


def copy_of(attention, dtype=None):
    """The same texts, and new layers from the descriptions of layers.

    Args:
        attention: A text, a description, or a list of these.
        dtype: Dtype policy of the model, which may include quantization.
    """
    if isinstance(attention, list):
        return [copy_of(each, dtype) for each in attention]
    return attention if isinstance(attention, str) else described(attention, dtype)


def saved(config, *names):
    """A configuration whose texts of attention name options with changed defaults.

    Args:
        config: The arguments of a model.
        *names: Those that are attention.
    """
    return config | {name: to_save(config[name]) for name in names}


def loaded(config, *names):
    """The arguments of a model, from a configuration of this or an earlier version.

    Args:
        config: The configuration.
        *names: The arguments that are attention.
    """
    return config | {name: copy_of(as_saved(config[name])) for name in names}


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
    """Encoder blocks, each with its own attention.

    Args:
        num_layers: Number of blocks.
        attention: The attention of all blocks, or a list with one per block, as
            `serialized` returns them.
        num_heads: Attention heads, if `attention` is a name.
        intermediate_dim: Width of the feed-forward networks.
        dropout: Dropout rate of the blocks.
        activation: Activation of the feed-forward networks.
        normalize_first: Whether layer normalisation precedes each branch.
        dtype: Dtype policy.
        positions: A kind of positions. Some are inside each attention.
        embedding_dim: Width of the model, for positions inside.
        name: Prefix of the names of the blocks.
    """
    return [
        TransformerEncoder(
            intermediate_dim,
            num_heads,
            block_attention(each, positions, num_heads, embedding_dim, dtype),
            dropout,
            activation,
            normalize_first=normalize_first,
            name=f"{name}_{index}",
            dtype=dtype,
        )
        for index, each in enumerate(each_block(attention, num_layers))
    ]


def block_attention(attention, positions, num_heads, embedding_dim, dtype):
    """The attention of a block: its name, or a new layer."""
    if positions not in INSIDE_ATTENTION:
        return copy_of(attention, dtype)
    if not isinstance(attention, str):
        raise ValueError(
            "An attention layer has its own positions: pass `positions` to the layer, "
            f"not to the model. Received: positions={positions!r}"
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


def check_pooling(pooling, blocks):
    """Raises `ValueError` for a class token in front of blocks that are all causal."""
    attentions = [block.attention_layer for block in blocks]
    causal = [getattr(each, "causality", "") == "always" for each in attentions]
    if pooling == "cls" and all(causal):
        raise ValueError(
            f"{type(attentions[0]).__name__} is causal: a class token in front would "
            "see only itself. Use `pooling='mean'`. Received: pooling='cls'"
        )


def with_class_token(x, token):
    """`(B, T, F)` with a token `(1, 1, F)` in front of each sequence."""
    shape = (ops.shape(x)[0], 1, x.shape[-1])
    first = ops.broadcast_to(ops.cast(token, x.dtype), shape)
    return ops.concatenate([first, x], axis=1)


def compiled(model, function):
    """A compiled function of a built model; its first argument is the weights' values.

    If the weights were not arguments, the compiled function would keep old values.
    """

    def run(values, *arguments):
        mapping = zip(model.variables, values, strict=True)
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    return backend.compiled(run)


def mean_of_real(x, real):
    """Mean over the real steps, `(B, F)` in float32; zero without real steps."""
    x = ops.cast(x, "float32")
    weights = ops.cast(real, "float32")[..., None]
    count = ops.maximum(ops.sum(weights, axis=1), 1.0)
    return ops.divide(ops.sum(ops.multiply(x, weights), axis=1), count)


def mean_of_segments(x, ids, max_segments):
    """Means over the steps of each segment, `(B, max_segments, F)` in float32.

    They are zero for segments that a row does not have, and NaN for segments with a
    number that is not finite, and in rows with more segments.

    Args:
        x: `(B, T, F)`.
        ids: Integer `(B, T)`: the segments 1, 2, 3, ... of each row, 0 for padding.
        max_segments: The largest number of segments in a row.
    """
    places = ops.arange(1, max_segments + 1, dtype="int32")
    member = ops.cast(ops.equal(ids[:, None, :], places[:, None]), "float32")
    count = ops.maximum(ops.sum(member, axis=2, keepdims=True), 1.0)
    finite = ops.all(ops.isfinite(x), axis=-1)
    # `0 * NaN` is NaN: such a step must not reach the other segments.
    x = hide_padding(ops.cast(x, "float32"), finite)
    means = ops.divide(ops.matmul(member, x), count)
    broken = ops.matmul(member, ops.cast(ops.logical_not(finite), "float32")[..., None])
    surplus = ops.any(ops.greater(ids, max_segments), axis=1)[:, None, None]
    wrong = ops.logical_or(ops.greater(broken, 0.0), surplus)
    return ops.where(wrong, float("nan"), means)
