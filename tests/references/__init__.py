"""Every attention mechanism as a plain NumPy loop in float64, and its derivatives.

The loops go over batch, head, query and key, one logit at a time: slow, and easy to
compare with the formula. `weights` is a flat dict of arrays named by their path inside
the layer, such as `"query/kernel"`. Each mechanism returns `(output, scores)`: the
layer's output after the output projection, and the attention weights
`(batch, heads, query length, key length)`.

Derivatives come from the complex step (`keras_twa.testing.complex_step`). So everything
here accepts complex numbers: comparisons look at the real part.
"""

from tests.references.additive import additive
from tests.references.block_recurrent import block_recurrent
from tests.references.differential import differential
from tests.references.directions import in_direction
from tests.references.dot_product import dot_product
from tests.references.forgetting import forgetting
from tests.references.gated_delta import gated_delta
from tests.references.gated_linear import gated_linear
from tests.references.gravitational import gravitational
from tests.references.gravitational_multi_timescale import gravitational_multi_timescale
from tests.references.latent import latent
from tests.references.linear import linear
from tests.references.local import local
from tests.references.lsh import lsh
from tests.references.mamba2 import mamba2
from tests.references.multi_timescale import multi_timescale
from tests.references.multi_timescale_retention import multi_timescale_retention
from tests.references.numbers import relu
from tests.references.numbers import softplus
from tests.references.performer import performer
from tests.references.retention import retention
from tests.references.rwkv import rwkv
from tests.references.sparse import sparse
from tests.references.temporal_weighted import temporal_weighted
from tests.references.transformer_xl import transformer_xl

__all__ = [
    "additive",
    "block_recurrent",
    "differential",
    "dot_product",
    "forgetting",
    "gated_delta",
    "gated_linear",
    "gravitational",
    "gravitational_multi_timescale",
    "in_direction",
    "latent",
    "linear",
    "local",
    "lsh",
    "mamba2",
    "multi_timescale",
    "multi_timescale_retention",
    "performer",
    "relu",
    "retention",
    "rwkv",
    "softplus",
    "sparse",
    "temporal_weighted",
    "transformer_xl",
]
