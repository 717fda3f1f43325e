"""The layers and option sets that the contract tests cover, one line each."""

import numpy as np

from keras_twa import layers
from keras_twa.testing.harness import HEAD_WIDTH
from tests import references
from tests.contract.case import Bump
from tests.contract.case import bump_loop
from tests.contract.case import case
from tests.contract.case import sawtooth
from tests.contract.case import sawtooth_loop
from tests.contract.case import soft_and_hard
from tests.contract.case import soft_and_hard_loop
from tests.contract.case import temporal
from tests.contract.gravity_cases import KINDS as KINDS_OF_GRAVITY
from tests.contract.gravity_cases import OTHERS as OTHER_GRAVITY
from tests.contract.mechanisms import ADDITIVE
from tests.contract.mechanisms import BLOCK_RECURRENT
from tests.contract.mechanisms import BOTH
from tests.contract.mechanisms import DIFFERENTIAL
from tests.contract.mechanisms import DOT
from tests.contract.mechanisms import FORGETTING
from tests.contract.mechanisms import GATED_DELTA
from tests.contract.mechanisms import GATED_LINEAR
from tests.contract.mechanisms import GRAVITY
from tests.contract.mechanisms import LATENT
from tests.contract.mechanisms import LINEAR
from tests.contract.mechanisms import LOCAL
from tests.contract.mechanisms import LSH
from tests.contract.mechanisms import MAMBA2
from tests.contract.mechanisms import PERFORMER
from tests.contract.mechanisms import RETENTION
from tests.contract.mechanisms import RWKV
from tests.contract.mechanisms import SPARSE
from tests.contract.mechanisms import TIMESCALE_RETENTION
from tests.contract.mechanisms import TIMESCALES
from tests.contract.mechanisms import TRANSFORMER_XL
from tests.contract.position_cases import KINDS as KINDS_OF_POSITIONS
from tests.contract.position_cases import OTHERS as OTHER_POSITIONS
from tests.contract.recurrent_cases import CONVOLVED
from tests.contract.recurrent_cases import DIRECTED
from tests.contract.recurrent_cases import OTHER_CONVOLVED
from tests.contract.recurrent_cases import OTHER_DIRECTED
from tests.contract.recurrent_cases import OTHER_PRODUCTS
from tests.contract.recurrent_cases import PRODUCTS
from tests.contract.recurrent_cases import SIZES
from tests.contract.timescale_cases import KINDS as KINDS_OF_TIMESCALES
from tests.contract.timescale_cases import OTHERS as OTHER_TIMESCALES


def with_map(id, feature_map, loop):
    """Return a linear case with another feature map."""
    made = case(f"linear-{id}", *LINEAR, feature_map=feature_map)
    made.loop_options["feature_map"] = loop
    return made


def dot(id, **options):
    """Return a case of dot-product attention with some of its own options."""
    own = {"score", "logit_soft_cap"} & {*options}
    return case(f"dot_product-{id}", *DOT, *own, **options)


def sparse(id, **options):
    """Return a sparse case with blocks of two steps."""
    options = {"block_size": 2, "stride": 2, "num_window_blocks": 1, **options}
    own = {*options} - {"value_dim", "use_bias", "output_shape"}
    return case(id, *SPARSE, *own, **options)


LOG = {"mode": "log_additive"}
SIGMOID = {"weighting": "sigmoid"}

# Block 3 does not see itself.
BLOCKS = np.array(
    [
        [1, 0, 0, 1, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [1, 0, 0, 0, 1],
        [0, 1, 0, 0, 1],
    ],
    bool,
)

# One per layer, in the order of ATTENTION_LAYERS. Every check runs on these.
PLAIN = [
    case("dot_product", *DOT),
    temporal("linear"),
    case("gravitational", *GRAVITY),
    case("multi_timescale", *TIMESCALES),
    case("gravitational_multi_timescale", *BOTH),
    case("linear", *LINEAR),
    case("performer", *PERFORMER, seed=1),
    case("retention", *RETENTION),
    case("forgetting", *FORGETTING),
    case("local", *LOCAL, "window", window=2),
    case("block_recurrent", *BLOCK_RECURRENT, "block_size", block_size=2, num_states=3),
    # The output of the first step is its normalised value times the sign of `q.k`. With
    # this epsilon, it is smaller if `q.k` is nearly 0, and does not jump in half
    # precision. With these discounts, nothing in the decoder is too near the kink of
    # its ReLU.
    case(
        "multi_timescale_retention",
        *TIMESCALE_RETENTION,
        "epsilon",
        epsilon=0.01,
        discounts=(0.6, 0.9),
    ),
    case("gated_delta", *GATED_DELTA),
    case("lsh", *LSH, "bucket_size", bucket_size=2, num_buckets=4, seed=1),
    case("transformer_xl", *TRANSFORMER_XL, memory_length=8),
    # In version 4, values are as wide as keys.
    case("rwkv", *RWKV, value_dim=HEAD_WIDTH),
    sparse("sparse", num_global_blocks=0, num_random_blocks=1),
    case("additive", *ADDITIVE),
    case("differential", *DIFFERENTIAL),
    case("latent", *LATENT),
    case("gated_linear", *GATED_LINEAR),
    case("mamba2", *MAMBA2),
]
# Cases with scores of pairs, and so with weights to drop.
WITH_PAIRS = [case for case in PLAIN if case.has_pairs]
# Options with their own kind of state: all checks of the plain cases run on them.
OTHER_STATES = [
    dot("grouped-cosine-sinks", num_key_value_heads=1, score="cosine", sinks=True),
    case(
        "local-global",
        *LOCAL,
        "window",
        "num_global_tokens",
        window=2,
        num_global_tokens=2,
    ),
    case("rwkv-7", *RWKV, "version", version=7),
    temporal("gated-lag", "gated", applies_to="lag"),
    *CONVOLVED,
    *PRODUCTS,
]
EACH = [*PLAIN, *OTHER_STATES]
# Cases whose sequence may come in parts, and cases that need the whole sequence.
WITH_STATES = [case for case in EACH if case.facts.prefix_invariant]
WITHOUT_STATES = [case for case in EACH if not case.facts.prefix_invariant]
# Cases with cross-attention, and cases without.
WITH_CROSS = [case for case in EACH if case.facts.cross_attention]
WITHOUT_CROSS = [case for case in EACH if not case.facts.cross_attention]

# Option sets that use other code paths: most checks run on these.
FORKS = [
    dot("bilinear-norm-cap", score="bilinear", qk_norm=True, logit_soft_cap=2.0),
    temporal("log-linear", **LOG),
    temporal("lag-sinusoidal", "sinusoidal", applies_to="lag", **SIGMOID),
    temporal("log-lag-exponential", "exponential", applies_to="lag", **LOG),
    temporal("log-gated", "gated", **LOG),
    case("gravitational-force", *GRAVITY, "normalization", normalization="force"),
    case("multi_timescale-additive", *TIMESCALES, "discount", discount="additive"),
    case(
        "gravitational_multi_timescale-additive-force",
        *BOTH,
        "discount",
        "normalization",
        discount="additive",
        normalization="force",
        trainable_discounts=True,
    ),
    case(
        "block_recurrent-lstm",
        *BLOCK_RECURRENT,
        "block_size",
        "gate",
        block_size=3,
        num_states=2,
        gate="lstm",
        value_dim=3,
    ),
    case(
        "multi_timescale_retention-tikhonov",
        *TIMESCALE_RETENTION,
        "decoder",
        "epsilon",
        decoder="tikhonov",
        epsilon=0.01,
    ),
    *OTHER_STATES,
    *KINDS_OF_POSITIONS,
    *KINDS_OF_GRAVITY,
    *KINDS_OF_TIMESCALES,
    *DIRECTED,
    sparse("sparse-global", num_random_blocks=1, pattern_seed=3),
    sparse("sparse-strided", pattern="strided"),
    sparse("sparse-mask", pattern=BLOCKS),
    case("latent-query", *LATENT, query_latent_dim=3, latent_dim=5),
]

# Options of recurrent mechanisms: sequences in parts are checked, too.
OTHER_RECURRENT = [*OTHER_CONVOLVED, *OTHER_PRODUCTS]
# All other options: only reference, config and file are checked.
OPTIONS = [
    dot("sizes", value_dim=3, use_bias=False, output_shape=5),
    dot("shape", value_dim=7, output_shape=(2, 3)),
    dot("dot-gate", score="dot", gated=True, value_dim=3, use_bias=False),
    dot("grouped-norm", num_key_value_heads=1, qk_norm=True, value_dim=3),
    dot("bilinear-sinks", score="bilinear", sinks=True),
    dot("norm-sinks-gate-cap", qk_norm=True, sinks=True, gated=True, logit_soft_cap=3),
    case("additive-sizes", *ADDITIVE, value_dim=3, use_bias=False, output_shape=5),
    case(
        "differential-sizes",
        *DIFFERENTIAL,
        "depth",
        key_dim=6,
        value_dim=3,
        use_bias=False,
        output_shape=5,
        depth=4,
    ),
    case(
        "latent-sizes",
        *LATENT,
        key_dim=9,
        value_dim=3,
        use_bias=False,
        output_shape=5,
        latent_dim=2,
        query_latent_dim=4,
        rotary_dim=6,
    ),
    temporal("sigmoid", **SIGMOID),
    temporal("log-sigmoid", **LOG, **SIGMOID),
    temporal("log-lag-sigmoid", applies_to="lag", **LOG, **SIGMOID),
    temporal("gated", "gated", value_dim=3, use_bias=False),
    temporal("gated-query", "gated", applies_to="query"),
    temporal("gated-sigmoid", "gated", **SIGMOID),
    temporal("log-gated-lag", "gated", applies_to="lag", **LOG),
    temporal("log-gated-lag-sigmoid", "gated", applies_to="lag", **LOG, **SIGMOID),
    temporal("sinusoidal", "sinusoidal"),
    temporal("exponential", "exponential"),
    temporal("learned", "learned"),
    temporal("query", applies_to="query"),
    temporal("lag-linear", applies_to="lag"),
    temporal("lag-learned", "learned", applies_to="lag"),
    temporal("log-lag-linear", applies_to="lag", **LOG),
    temporal("log-learned", "learned", **LOG),
    temporal("callable", sawtooth, sawtooth_loop),
    temporal("log-lag-callable", sawtooth, sawtooth_loop, applies_to="lag", **LOG),
    temporal("layer", Bump(), bump_loop),
    temporal("lag-layer", Bump(), bump_loop, applies_to="lag"),
    temporal("sizes", value_dim=3, use_bias=False, output_shape=5),
    case("gravitational-sizes", *GRAVITY, value_dim=3, use_bias=False, gravity=2.0),
    case("gravitational-exponent", *GRAVITY, "exponent", exponent=1.0),
    case(
        "gravitational-force-exponent",
        *GRAVITY,
        "exponent",
        "softening",
        "normalization",
        exponent=3.0,
        softening=0.1,
        normalization="force",
    ),
    case("multi_timescale-sizes", *TIMESCALES, value_dim=3, use_bias=False),
    case("multi_timescale-trainable", *TIMESCALES, trainable_discounts=True),
    case(
        "multi_timescale-two",
        *TIMESCALES,
        "discount",
        discounts=(0.3, 0.95),
        discount="additive",
        trainable_discounts=True,
    ),
    case(
        "gravitational_multi_timescale-additive", *BOTH, "discount", discount="additive"
    ),
    case(
        "gravitational_multi_timescale-force",
        *BOTH,
        "normalization",
        normalization="force",
    ),
    case(
        "gravitational_multi_timescale-options",
        *BOTH,
        "exponent",
        "softening",
        exponent=1.5,
        softening=1.0,
        value_dim=3,
        discounts=(0.5,),
        gravity=3.0,
        trainable_discounts=True,
    ),
    case("local-one", *LOCAL, "window", window=1, value_dim=3, output_shape=5),
    case("local-all", *LOCAL, use_bias=False),
    case("lsh-all", *LSH, use_bias=False),
    case(
        "lsh-options",
        *LSH,
        "bucket_size",
        num_hashes=1,
        bucket_size=3,
        num_buckets=6,
        value_dim=3,
        output_shape=5,
        seed=2,
    ),
    case(
        "local-global-one",
        *LOCAL,
        "window",
        "num_global_tokens",
        window=1,
        num_global_tokens=1,
        value_dim=3,
    ),
    case("local-all-global", *LOCAL, "num_global_tokens", num_global_tokens=9),
    sparse("sparse-fixed", pattern="fixed", value_dim=3, use_bias=False),
    sparse("sparse-one", block_size=1, num_random_blocks=2, output_shape=5),
    sparse("sparse-all", block_size=64),
    case("forgetting-sizes", *FORGETTING, value_dim=3, use_bias=False, output_shape=5),
    case("linear-sizes", *LINEAR, value_dim=3, use_bias=False, output_shape=5),
    case("performer-features", *PERFORMER, value_dim=3, num_features=9, seed=2),
    case(
        "retention-options",
        *RETENTION,
        "discounts",
        "epsilon",
        key_dim=5,
        value_dim=3,
        use_bias=False,
        discounts=(0.6, 0.95),
        epsilon=0.1,
    ),
    *SIZES,
    case(
        "transformer_xl-sizes",
        *TRANSFORMER_XL,
        key_dim=3,
        value_dim=5,
        use_bias=False,
        output_shape=5,
    ),
    case("transformer_xl-positions", *TRANSFORMER_XL, "position_dim", position_dim=10),
    *OTHER_POSITIONS,
    *OTHER_GRAVITY,
    *OTHER_RECURRENT,
    *OTHER_DIRECTED,
    *OTHER_TIMESCALES,
    with_map("softplus", "softplus", np.vectorize(references.softplus)),
    with_map("relu", "relu", references.relu),
    with_map("squared_relu", "squared_relu", lambda x: references.relu(x) ** 2),
    with_map("callable", soft_and_hard, soft_and_hard_loop),
]

# Cases whose weights are products of features, which may be of any size.
WITH_FEATURES = [
    case
    for case in [*PLAIN, *OPTIONS]
    if case.layer in (layers.LinearAttention, layers.PerformerAttention)
    and not {"convolution", "direction"} & {*case.options}
]

ALL = [*PLAIN, *FORKS, *OPTIONS]
