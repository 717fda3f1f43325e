"""Latent attention: keys and values are read from a small vector for each step."""

import dataclasses

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import HeadDense
from keras_twa.layers.attention.projection import Projection
from keras_twa.ops import dot_product_attention

# As in the authors' code.
EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="keras_twa")
class LatentAttention(PairAttention):
    """Multi-head latent attention (MLA): a small cache for many heads.

    Each step has one latent vector `c = norm(x W_C)`, from which all heads compute
    their keys and values. `norm` divides by the root mean square and has a learned
    scale for each channel. Another R = `rotary_dim` channels hold the position of a
    key: `r = rotate(x W_R)`, the same for all heads. Queries have two such parts,
    `q_C` and the rotated `q_R`. Per head:

    `softmax((q_C . (c W_K) + q_R . r) / sqrt(D)) (c W_V)`.

    A state holds only `c` and `r`: `latent_dim + R` numbers for each step, instead of
    `2 H D`. With eight heads of width 64, these are 276 instead of 1024.

    A call with a single query, such as a step of decoding, does not compute the keys
    and values of heads. It maps the query to the latent space instead, as
    `q_C . (c W_K)` equals `(q_C W_K^T) . c`. Other calls compute keys and values. Both
    ways give the same outputs.

    `use_bias` applies to the projections of the inputs and of the output, but `W_K` and
    `W_V` have no bias. The latent vectors are those of `value`: a separate `key`
    affects only `r`.

    Cost: O(T S D) time, O(T + S) memory. In decoding, the scores of a step take
    S H (`latent_dim` + R) products, and the state is read once for all heads.

    Args:
        key_dim: Width D of each head's queries and keys, of which R channels are
            rotated. At least 3.
        latent_dim: Width of the latent vectors. Defaults to `4 value_dim`, or to half
            of `num_heads value_dim` if that is less.
        query_latent_dim: Width of a latent vector of the queries. The queries of all
            heads are then read from it, with fewer weights. Defaults to `None`: none.
        rotary_dim: R, an even number less than `key_dim`. Defaults to a third of
            `key_dim`, rounded down to an even number, but at least 2.
        kernel_initializer: Initializer of all kernels.
        kernel_regularizer: Regularizer of all kernels.
        kernel_constraint: Constraint on all kernels.
        positions: "rotary", or a `RotaryPositions` layer, which rotates the R channels.
            Defaults to `None`: "rotary".

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the attention
        weights `(B, H, T, S)` in float32; with `return_state`, also the state: "latent"
        `(B, L, 1, latent_dim)` and "rotary_key" `(B, L, 1, R)` of the L steps so far,
        and which of them are "real", and their "time".

    Raises:
        ValueError: If a size is not positive, `rotary_dim` is odd or not less than
            `key_dim`, or a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import LatentAttention
    >>> layer = LatentAttention(num_heads=8, key_dim=64)
    >>> x = np.ones((2, 10, 32), "float32")
    >>> outputs, state = layer(x, use_causal_mask=True, return_state=True)
    >>> tuple(state["latent"].shape), tuple(state["rotary_key"].shape)
    ((2, 10, 1, 256), (2, 10, 1, 20))

    Reference:
        [DeepSeek-AI, 2024](https://arxiv.org/abs/2405.04434)
    """

    uses_times = True
    rotary = True

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        latent_dim=None,
        query_latent_dim=None,
        rotary_dim=None,
        positions=None,
        **kwargs,
    ):
        super().__init__(
            num_heads,
            key_dim,
            value_dim,
            dropout,
            use_bias,
            output_shape,
            positions="rotary" if positions is None else positions,
            **kwargs,
        )
        if latent_dim is None:
            width = self.value_dim
            latent_dim = max(1, min(4 * width, num_heads * width // 2))
        if rotary_dim is None:
            rotary_dim = max(2, key_dim // 6 * 2)
        checks.positive_integer(latent_dim=latent_dim)
        if query_latent_dim is not None:
            checks.positive_integer(query_latent_dim=query_latent_dim)
        checks.positive_even_integer(rotary_dim=rotary_dim)
        if rotary_dim >= key_dim:
            raise ValueError(
                "`rotary_dim` must be less than `key_dim`: the other channels of a key "
                "are read from the latent vector. "
                f"Received: rotary_dim={rotary_dim}, key_dim={key_dim}"
            )
        self.latent_dim = latent_dim
        self.query_latent_dim = query_latent_dim
        self.rotary_dim = rotary_dim
        self.content_dim = key_dim - rotary_dim

    def projections(self):
        return (
            Projection("query", "query", self.num_heads, self.key_dim),
            Projection("latent", "value", 1, self.latent_dim),
            Projection("rotary_key", "key", 1, self.rotary_dim),
        )

    def projector(self, projection):
        if projection.name != "query" or self.query_latent_dim is None:
            return super().projector(projection)
        return LatentQuery(
            self.query_latent_dim, projection, self.use_bias, self._dense_options
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.latent_norm = _norm(self.dtype_policy, "latent_norm")
        self.latent_norm.build((None, None, 1, self.latent_dim))
        for name, width in (("key", self.content_dim), ("value", self.value_dim)):
            self._sublayers[name] = _up(
                self.latent_dim,
                self.num_heads,
                width,
                f"{name}_up",
                self._dense_options(),
            )

    def match(self, heads):
        return {**heads, "latent": self.latent_norm(heads["latent"])}

    def turned(self, heads, mask, query_times, key_times, state):
        content, rotary = self._parts(heads["query"])
        both = {"query": rotary, "key": heads["rotary_key"]}
        both = super().turned(both, mask, query_times, key_times, state)
        query = ops.concatenate([content, both["query"]], axis=-1)
        return {**heads, "query": query, "rotary_key": both["key"]}

    def attend(self, call):
        # The kernels of quantized layers are not numbers to multiply with.
        both = self.key_dense, self.value_dense
        quantized = any(layer.quantization_mode for layer in both)
        steps = ops.shape(call["query"])[1]
        packed = call.mask.key_segments is not None
        if isinstance(steps, int) and steps == 1 and not quantized and not packed:
            return self._attend_in_latent_space(call)
        return self._attend_in_heads(call)

    def _attend_in_heads(self, call):
        """Expands the latent vectors to the keys and values of heads."""
        latent, rotary_key = call["latent"][:, :, 0], call["rotary_key"]
        shape = (*ops.shape(latent)[:2], self.num_heads, self.rotary_dim)
        keys = [self.key_dense(latent), ops.broadcast_to(rotary_key, shape)]
        return dot_product_attention(
            call["query"],
            ops.concatenate(keys, axis=-1),
            self.value_dense(latent),
            mask=call.mask,
            dropout=call.dropout,
            return_weights=call.return_weights,
        )

    def _attend_in_latent_space(self, call):
        """Lets the heads of one query attend to the latent vectors themselves.

        For the kernel, they are queries of a single head, so that it needs no copy of
        the latent vectors for each head.
        """
        content, rotary = self._parts(call["query"])
        key_up, value_up = (
            ops.cast(layer.kernel, content.dtype)
            for layer in (self.key_dense, self.value_dense)
        )
        # b: batch, t: time, h: heads, d: width of a head, c: width of a latent vector.
        content = ops.einsum("bthd,chd->bthc", content, key_up)
        query = ops.concatenate([content, rotary], axis=-1)
        key = ops.concatenate([call["latent"], call["rotary_key"]], axis=-1)
        outputs = dot_product_attention(
            ops.swapaxes(query, 1, 2),
            key,
            call["latent"],
            mask=_of_heads(call.mask, self.num_heads),
            scale=self.key_dim**-0.5,
            dropout=call.dropout,
            return_weights=call.return_weights,
        )
        if call.return_weights:
            outputs, weights = outputs
        outputs = ops.einsum("bthc,chd->bthd", ops.swapaxes(outputs, 1, 2), value_up)
        if call.return_weights:
            return outputs, ops.swapaxes(weights, 1, 2)
        return outputs

    def _parts(self, query):
        """The channels of a query for content, and those that are rotated."""
        return query[..., : self.content_dim], query[..., self.content_dim :]

    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "query_latent_dim": self.query_latent_dim,
            "rotary_dim": self.rotary_dim,
        }


class LatentQuery(keras.layers.Layer):
    """Reads the queries of all heads from a small vector: `norm(x W_down) W_up`.

    Args:
        latent_dim: Width of the vector.
        projection: The `Projection` that it computes.
        use_bias: Whether `x W_down` has a bias.
        dense_options: Function that returns the options of one dense layer, each time
            with new initializers.
    """

    def __init__(self, latent_dim, projection, use_bias, dense_options):
        options = dense_options()
        super().__init__(name=projection.name, dtype=options["dtype"])
        self.latent_dim = latent_dim
        self.projection = projection
        self.dense_options = dense_options
        # b: batch, t: time, f: features, c: width of the vector.
        self.down = HeadDense(
            "btf,fc->btc",
            output_shape=(None, latent_dim),
            bias_axes="c" if use_bias else None,
            name="down",
            **options,
        )

    def build(self, input_shape):
        self.down.build(input_shape)
        self.norm = _norm(self.dtype_policy, "norm")
        self.norm.build((None, None, self.latent_dim))
        shape = (self.projection.heads, self.projection.dim)
        self.up = _up(self.latent_dim, *shape, "up", self.dense_options())

    def call(self, inputs):
        return self.up(self.norm(self.down(inputs)))


def _norm(dtype, name):
    return keras.layers.RMSNormalization(epsilon=EPSILON, dtype=dtype, name=name)


def _up(latent_dim, heads, dim, name, options):
    """A projection of latent vectors `(B, T, C)` to heads `(B, T, H, D)`, built."""
    layer = HeadDense(
        # b: batch, t: time, c: width of a latent vector, h: heads, d: width of a head.
        "btc,chd->bthd",
        output_shape=(None, heads, dim),
        name=name,
        **options,
    )
    layer.build((None, None, latent_dim))
    return layer


def _of_heads(mask, heads):
    """The mask of a single query, for its heads as queries of one head."""
    queries, pairs = mask.queries, mask.pairs
    if queries is not None:
        queries = ops.repeat(queries, heads, axis=1)
    if pairs is not None:
        batch, _, _, keys = ops.shape(pairs)
        pairs = ops.broadcast_to(pairs, (batch, heads, 1, keys))
        pairs = ops.swapaxes(pairs, 1, 2)
    return dataclasses.replace(mask, causal=False, queries=queries, pairs=pairs)
