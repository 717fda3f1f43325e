"""The option sets that all recurrent mechanisms share."""

from keras_twa.testing.harness import HEAD_WIDTH
from tests import references
from tests.contract.case import case
from tests.contract.mechanisms import BLOCK_RECURRENT
from tests.contract.mechanisms import FORGETTING
from tests.contract.mechanisms import GATED_DELTA
from tests.contract.mechanisms import GATED_LINEAR
from tests.contract.mechanisms import LINEAR
from tests.contract.mechanisms import MAMBA2
from tests.contract.mechanisms import PERFORMER
from tests.contract.mechanisms import RETENTION
from tests.contract.mechanisms import RWKV
from tests.contract.mechanisms import TIMESCALE_RETENTION


def convolved(id, mechanism, *own, convolution=3, **options):
    """Return a case with a convolution."""
    options["convolution"] = convolution
    return case(f"{id}-convolution", *mechanism, *own, **options)


def directed(id, mechanism, direction, *own, **options):
    """Return a case that runs backward, or half of the heads each way."""
    layer, loop = mechanism
    loop = references.in_direction(loop, direction)
    id, options = f"{id}-{direction}", {**options, "direction": direction}
    return case(id, layer, loop, *own, **options)


def delta_product(id, *own, **options):
    """Return a case of the gated delta rule with several writes per step."""
    own = ("negative_eigenvalues", "num_householder", *own)
    options = {"negative_eigenvalues": True, "num_householder": 2, **options}
    return case(f"gated_delta-{id}", *GATED_DELTA, *own, **options)


# All checks of the plain cases run on it.
PRODUCTS = [delta_product("product")]
# Reference, config, file and parts are checked.
OTHER_PRODUCTS = [
    case(
        "gated_delta-negative",
        *GATED_DELTA,
        "negative_eigenvalues",
        negative_eigenvalues=True,
    ),
    delta_product(
        "product-convolution",
        negative_eigenvalues=False,
        num_householder=3,
        convolution=2,
        value_dim=3,
        use_bias=False,
    ),
]
# One mechanism with times, and one that also shifts tokens. All checks of the plain
# cases run on these.
CONVOLVED = [
    convolved("gated_delta", GATED_DELTA, convolution=4),
    convolved("rwkv-7", RWKV, "version", version=7),
]
# Reference, config, file and parts are checked.
OTHER_CONVOLVED = [
    convolved("linear", LINEAR, value_dim=3),
    convolved("performer", PERFORMER, seed=1),
    convolved("performer-rotary", PERFORMER, "positions", positions="rotary", seed=1),
    convolved("retention", RETENTION, convolution=2),
    convolved("gated_linear", GATED_LINEAR, convolution=4),
    convolved("mamba2", MAMBA2, convolution=4, value_dim=3),
    convolved("rwkv", RWKV, value_dim=HEAD_WIDTH),
    convolved(
        "block_recurrent", BLOCK_RECURRENT, "block_size", block_size=2, num_states=3
    ),
    convolved("multi_timescale_retention", TIMESCALE_RETENTION, "epsilon", epsilon=0.1),
]

# Times, token shift, a convolution, scores of pairs, and a mechanism that need not be
# causal. Most checks run on these.
DIRECTED = [
    directed("retention", RETENTION, "backward"),
    directed("rwkv-7", RWKV, "both", "version", version=7),
    directed("gated_delta-convolution", GATED_DELTA, "both", convolution=3),
    directed("forgetting", FORGETTING, "both"),
    directed("linear", LINEAR, "both"),
]
# Reference, config, file and padding are checked.
OTHER_DIRECTED = [
    directed("retention", RETENTION, "both"),
    directed("performer-rotary", PERFORMER, "both", "positions", positions="rotary"),
    directed("gated_linear", GATED_LINEAR, "both", "epsilon", epsilon=0.1),
    directed("mamba2", MAMBA2, "backward"),
    directed("mamba2", MAMBA2, "both", "num_groups", num_groups=2),
    directed("rwkv", RWKV, "backward", value_dim=HEAD_WIDTH),
    directed("rwkv", RWKV, "both", value_dim=HEAD_WIDTH),
    directed("linear", LINEAR, "backward", use_bias=False),
    directed("forgetting-alibi", FORGETTING, "both", "positions", positions="alibi"),
    directed(
        "block_recurrent",
        BLOCK_RECURRENT,
        "backward",
        "block_size",
        block_size=2,
        num_states=3,
    ),
    directed(
        "multi_timescale_retention",
        TIMESCALE_RETENTION,
        "both",
        "epsilon",
        epsilon=0.1,
    ),
    directed(
        "multi_timescale_retention-tikhonov",
        TIMESCALE_RETENTION,
        "both",
        "decoder",
        "epsilon",
        decoder="tikhonov",
        epsilon=0.1,
    ),
    directed(
        "gated_delta-product",
        GATED_DELTA,
        "both",
        "num_householder",
        num_householder=2,
        value_dim=3,
    ),
]

# Options of single mechanisms: only reference, config and file are checked.
SIZES = [
    case(
        "block_recurrent-sizes",
        *BLOCK_RECURRENT,
        "block_size",
        "gate",
        block_size=1,
        num_states=2,
        gate="lstm",
        value_dim=3,
        use_bias=False,
        output_shape=5,
    ),
    case(
        "block_recurrent-long",
        *BLOCK_RECURRENT,
        "block_size",
        block_size=9,
        use_bias=False,
    ),
    case(
        "multi_timescale_retention-sizes",
        *TIMESCALE_RETENTION,
        "epsilon",
        key_dim=5,
        value_dim=3,
        use_bias=False,
        output_shape=5,
        epsilon=0.1,
        trainable_discounts=True,
    ),
    case(
        "multi_timescale_retention-lags",
        *TIMESCALE_RETENTION,
        "decoder",
        "discounts",
        "lags",
        "alpha",
        decoder="tikhonov",
        discounts=(0.3, 0.9),
        lags=(0, 0.5, 3),
        alpha=0.5,
        value_dim=3,
        output_shape=5,
    ),
    case(
        "gated_delta-sizes",
        *GATED_DELTA,
        "epsilon",
        key_dim=5,
        value_dim=3,
        use_bias=False,
        output_shape=5,
        epsilon=0.1,
    ),
    case(
        "gated_linear-sizes",
        *GATED_LINEAR,
        "gate_normalizer",
        "epsilon",
        key_dim=5,
        value_dim=3,
        use_bias=False,
        output_shape=5,
        gate_rank=3,
        gate_normalizer=2.0,
        epsilon=0.1,
    ),
    case(
        "mamba2-sizes",
        *MAMBA2,
        "num_groups",
        "epsilon",
        key_dim=5,
        value_dim=3,
        use_bias=False,
        output_shape=5,
        num_groups=2,
        epsilon=0.1,
    ),
    case("rwkv-sizes", *RWKV, value_dim=4, use_bias=False, output_shape=5),
    case(
        "rwkv-7-sizes",
        *RWKV,
        "version",
        "epsilon",
        version=7,
        key_dim=5,
        value_dim=3,
        use_bias=False,
        output_shape=5,
        rank=3,
        epsilon=0.1,
    ),
]
