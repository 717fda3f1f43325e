"""PyTorch packages for long sequences, as modules that take `(B, T, F)`."""

import sys
import types
from unittest import mock

import cases
import torch


def performer(options, causal=False):
    from performer_pytorch import SelfAttention

    return SelfAttention(
        width_of(options), causal, heads=options.heads, dim_head=options.dim
    )


def causal_performer(options):
    return performer(options, causal=True)


def local_attention(options):
    from local_attention import LocalMHA

    return LocalMHA(
        dim=width_of(options),
        window_size=128,
        dim_head=options.dim,
        heads=options.heads,
        exact_windowsize=True,
        use_rotary_pos_emb=False,
    )


def longformer(options):
    """Without the output projection, which is in another module of that package."""
    from transformers.models.longformer import modeling_longformer

    config = modeling_longformer.LongformerConfig(
        attention_window=[256],
        hidden_size=width_of(options),
        num_attention_heads=options.heads,
        attention_probs_dropout_prob=0.0,
    )

    class Attention(modeling_longformer.LongformerSelfAttention):
        def forward(self, x):
            length = x.shape[1]
            x = filled(x, 256)
            first = (torch.arange(x.shape[1], device=x.device) == 0).expand(x.shape[:2])
            return super().forward(
                x,
                attention_mask=10_000.0 * first,
                is_index_masked=torch.zeros_like(first),
                is_index_global_attn=first,
                is_global_attn=True,
            )[0][:, :length]

    return Attention(config, layer_id=0)


def reformer(options):
    from reformer_pytorch import LSHSelfAttention

    return LSHSelfAttention(
        width_of(options), heads=options.heads, bucket_size=64, n_hashes=4
    )


def rwkv_4(options):
    from transformers.models.rwkv import modeling_rwkv

    class Attention(modeling_rwkv.RwkvSelfAttention):
        def forward(self, x):
            return super().forward(x)[0]

    config = modeling_rwkv.RwkvConfig(hidden_size=width_of(options))
    attention = Attention(config)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return attention


def retnet(options):
    """In chunks of 128 steps."""
    # The package also imports modules for training on many machines.
    names = ("fairscale", "fairscale.nn", "timm", "timm.models", "timm.models.layers")
    with mock.patch.dict(sys.modules, dict.fromkeys(names, mock.MagicMock())):
        from torchscale.architecture.retnet import RetNetRelPos
        from torchscale.component.multiscale_retention import MultiScaleRetention

    width = width_of(options)
    settings = types.SimpleNamespace(
        decoder_embed_dim=width,
        decoder_retention_heads=options.heads,
        recurrent_chunk_size=128,
        multiway=False,
        layernorm_eps=1e-5,
    )

    class Retention(MultiScaleRetention):
        def __init__(self):
            super().__init__(settings, width, width, options.heads)
            self.positions = RetNetRelPos(settings)

        def forward(self, x):
            length = x.shape[1]
            x = filled(x, 128)
            positions = self.positions(x.shape[1], chunkwise_recurrent=True)
            outputs = super().forward(x, positions, chunkwise_recurrent=True)
            return outputs[:, :length]

    return Retention()


def gated_linear(options):
    from naive_chunks import GatedLinearAttention

    class Attention(GatedLinearAttention):
        def forward(self, x):
            return super().forward(filled(x, self.chunk))[:, : x.shape[1]]

    return Attention(options.heads, options.dim)


def mamba_2(options):
    """With its short convolution, which takes little of the time."""
    from transformers.models.mamba2 import Mamba2Config
    from transformers.models.mamba2 import modeling_mamba2

    config = Mamba2Config(
        hidden_size=width_of(options),
        num_heads=options.heads,
        head_dim=options.dim,
        expand=1,
        state_size=options.dim,
        n_groups=1,
        num_hidden_layers=1,
        use_bias=True,
    )
    return modeling_mamba2.Mamba2Mixer(config, layer_idx=0)


def filled(x, block):
    """Pads a sequence to a multiple of `block`, which some modules require."""
    return torch.nn.functional.pad(x, (0, 0, 0, -x.shape[1] % block))


def width_of(options):
    return options.heads * options.dim


MODULES = {
    cases.PERFORMER: performer,
    cases.CAUSAL_PERFORMER: causal_performer,
    cases.LOCAL: local_attention,
    cases.LONGFORMER: longformer,
    cases.REFORMER: reformer,
    cases.RWKV_4: rwkv_4,
    cases.RETNET: retnet,
    cases.GATED_LINEAR: gated_linear,
    cases.MAMBA_2: mamba_2,
}
