"""Makes the subject of a case: a layer of this package, or a peer of it."""

import cases
import keras
from keras import ops

from keras_twa import layers


def mechanisms():
    """The attention layers of this package by name."""
    return {layers.name_of(layer): layer for layer in layers.ATTENTION_LAYERS}


def linear_mechanisms():
    """The names of layers that state that their time is linear in the length."""
    return [name for name, x in mechanisms().items() if x.linear_time]


def directed_mechanisms():
    """The names of layers whose heads can run in both directions."""
    return [name for name, x in mechanisms().items() if "both" in x.allowed_directions]


def make(case, options):
    """Returns a layer or a `torch.nn.Module`, and the number of inputs it takes."""
    name = case.subject
    if name in TORCH_MODULES:
        return TORCH_MODULES[name](options), 1
    if name in {peer.name for peer in cases.LONG_PEERS}:
        import long_peers

        return long_peers.MODULES[name](options), 1
    half = options.dtype != "float32"
    shared = {"dtype": f"mixed_{options.dtype}" if half else "float32"}
    if name == "keras_hub TransformerEncoder":
        import keras_hub

        width = options.heads * options.dim
        block = keras_hub.layers.TransformerEncoder(4 * width, options.heads, **shared)
        return block, 1
    own = {cases.DENSE: DenseGravitational, cases.FUSED: FusedAttention}
    takes_values = name not in own
    choices = {cases.KERAS: keras.layers.MultiHeadAttention, **own, **mechanisms()}
    arguments = {**shared, **dict(case.arguments)}
    layer = choices[name](num_heads=options.heads, key_dim=options.dim, **arguments)
    return layer, 1 + takes_values


class Projected(keras.layers.Layer):
    """Queries, keys and values `(B, H, T, D)`, mixed and projected back."""

    def __init__(self, num_heads, key_dim, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim

    def build(self, shape):
        def dense(equation, output_shape, bias_axes, name):
            return keras.layers.EinsumDense(
                equation, output_shape, bias_axes=bias_axes, name=name, dtype=policy
            )

        policy = self.dtype_policy
        heads = (None, self.num_heads, self.key_dim)
        self.parts = [
            dense("btf,fhd->bthd", heads, "hd", name)
            for name in ("query", "key", "value")
        ]
        for part in self.parts:
            part.build(shape)
        self.back = dense("bthd,hdf->btf", (None, shape[-1]), "f", "attention_output")
        self.back.build((*shape[:2], *heads[1:]))

    def call(self, x):
        heads = (ops.swapaxes(part(x), 1, 2) for part in self.parts)
        return self.back(ops.swapaxes(self.mix(x, *heads), 1, 2))

    def mix(self, x, query, key, value):
        raise NotImplementedError(f"{type(self).__name__} must implement `mix`.")


class DenseGravitational(Projected):
    """`GravitationalAttention`, written directly from its formula.

    Distances are expanded to one matrix product, as most users would do. Every tensor
    of pairs is `(B, H, T, T)`, and is kept for the backward pass.
    """

    def build(self, shape):
        super().build(shape)
        self.masses = [
            keras.layers.Dense(self.num_heads, name=name, dtype=self.dtype_policy)
            for name in ("query_mass", "key_mass")
        ]
        for mass in self.masses:
            mass.build(shape)
        self.gravity = self.add_weight(
            shape=(self.num_heads, 1, 1),
            initializer=keras.initializers.Constant(self.key_dim),
            name="gravity",
        )

    def mix(self, x, query, key, value):
        query_mass, key_mass = (
            ops.expand_dims(ops.swapaxes(ops.softplus(mass(x)), 1, 2), -1)
            for mass in self.masses
        )
        query_norm = ops.sum(query * query, axis=-1, keepdims=True)
        key_norm = ops.sum(key * key, axis=-1, keepdims=True)
        products = ops.matmul(query, transposed(key))
        squared = ops.relu(query_norm + transposed(key_norm) - 2.0 * products)
        gravity = ops.cast(self.gravity, query.dtype)
        force = gravity * query_mass * transposed(key_mass) / (squared + 0.25)
        return ops.matmul(ops.softmax(force), value)


class FusedAttention(Projected):
    """Attention by the backend's best kernel for it, between four projections."""

    def mix(self, x, query, key, value):
        if keras.backend.backend() == "torch":
            from torch.nn.functional import scaled_dot_product_attention

            return scaled_dot_product_attention(query, key, value)
        import jax

        # JAX expects time before heads.
        heads = (ops.swapaxes(part, 1, 2) for part in (query, key, value))
        return ops.swapaxes(
            jax.nn.dot_product_attention(*heads, implementation="cudnn"), 1, 2
        )


def transposed(x):
    return ops.swapaxes(x, -1, -2)


def torch_attention(options):
    import torch

    class Attention(torch.nn.MultiheadAttention):
        def forward(self, x):
            return super().forward(x, x, x, need_weights=False)[0]

    width = options.heads * options.dim
    return Attention(width, options.heads, batch_first=True)


def x_transformers_attention(options):
    from x_transformers import Attention

    width = options.heads * options.dim
    return Attention(width, dim_head=options.dim, heads=options.heads, flash=True)


def x_transformers_encoder(options):
    from x_transformers import Encoder

    return Encoder(
        dim=options.heads * options.dim,
        depth=1,
        heads=options.heads,
        attn_dim_head=options.dim,
        attn_flash=True,
    )


TORCH_MODULES = {
    "torch MultiheadAttention": torch_attention,
    "x_transformers Attention, flash": x_transformers_attention,
    "x_transformers Encoder, flash": x_transformers_encoder,
}
