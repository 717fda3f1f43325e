"""The option sets with positions inside attention."""

from keras_twa import layers
from tests.contract.case import case
from tests.contract.mechanisms import DIFFERENTIAL
from tests.contract.mechanisms import DOT
from tests.contract.mechanisms import FORGETTING
from tests.contract.mechanisms import GRAVITY
from tests.contract.mechanisms import LATENT
from tests.contract.mechanisms import LOCAL
from tests.contract.mechanisms import PERFORMER
from tests.contract.mechanisms import SPARSE
from tests.contract.mechanisms import TEMPORAL
from tests.contract.mechanisms import TIMESCALES

# Options so small that lags of a few steps cover all code paths.
SMALL = {
    "rotary": (
        layers.RotaryPositions,
        {"max_wavelength": 20, "scaling_factor": 3.0, "original_length": 50},
    ),
    "t5": (layers.T5Positions, {"num_buckets": 8, "max_distance": 5}),
    "shaw": (layers.ShawPositions, {"max_distance": 2}),
}


def with_name(id, mechanism, positions, *own, **options):
    """Return a case whose positions are given by name."""
    return case(id, *mechanism, *own, "positions", positions=positions, **options)


def with_layer(id, mechanism, positions, *own, **options):
    """Return a case whose positions are a layer; its loop takes the same options."""
    kind, of_positions = SMALL[positions]
    positions_layer = kind(name="positions", **of_positions)
    made = case(id, *mechanism, *own, positions=positions_layer, **options)
    made.loop_options["positions"] = positions, of_positions
    return made


# A bias, rotary positions combined with all other options, and mechanisms that count
# steps in their state. Most checks of mechanisms run on these.
KINDS = [
    with_layer("dot_product-shaw", DOT, "shaw"),
    with_name(
        "dot_product-rotary-grouped-norm-sinks",
        DOT,
        "rotary",
        num_key_value_heads=1,
        qk_norm=True,
        sinks=True,
    ),
    with_name(
        "local-global-rotary",
        LOCAL,
        "rotary",
        "window",
        "num_global_tokens",
        window=2,
        num_global_tokens=2,
    ),
]
# Only reference, config and file are checked.
OTHERS = [
    with_layer("dot_product-rotary", DOT, "rotary"),
    with_name("dot_product-alibi", DOT, "alibi"),
    with_name("differential-alibi", DIFFERENTIAL, "alibi"),
    with_name("differential-rotary", DIFFERENTIAL, "rotary"),
    with_layer("latent-rotary", LATENT, "rotary"),
    with_layer("dot_product-t5", DOT, "t5"),
    with_name("performer-rotary", PERFORMER, "rotary", seed=1),
    with_name(
        "dot_product-alibi-grouped-bilinear-cap-sinks",
        DOT,
        "alibi",
        "score",
        "logit_soft_cap",
        score="bilinear",
        logit_soft_cap=2.0,
        num_key_value_heads=1,
        sinks=True,
    ),
]
# Only values and gradients of the reference are checked.
MECHANISMS = [
    with_name("temporal_weighted-rotary", TEMPORAL, "rotary"),
    with_name("temporal_weighted-alibi", TEMPORAL, "alibi"),
    with_layer("temporal_weighted-t5", TEMPORAL, "t5", "mode", mode="log_additive"),
    with_layer(
        "temporal_weighted-shaw", TEMPORAL, "shaw", "applies_to", applies_to="lag"
    ),
    with_name(
        "temporal_weighted-gated-lag-alibi",
        TEMPORAL,
        "alibi",
        "temporal_function",
        "applies_to",
        temporal_function="gated",
        applies_to="lag",
    ),
    with_name("gravitational-rotary", GRAVITY, "rotary"),
    with_name("gravitational-alibi", GRAVITY, "alibi"),
    with_name("multi_timescale-rotary", TIMESCALES, "rotary"),
    with_layer("differential-t5", DIFFERENTIAL, "t5"),
    with_layer("differential-shaw", DIFFERENTIAL, "shaw"),
    with_name("forgetting-rotary", FORGETTING, "rotary"),
    with_name("forgetting-alibi", FORGETTING, "alibi"),
    with_name("sparse-rotary", SPARSE, "rotary", "block_size", block_size=2),
]
