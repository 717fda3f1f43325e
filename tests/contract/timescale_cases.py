"""The option sets of timescales with a gate, or with discounts spread by length."""

from tests.contract.case import case
from tests.contract.mechanisms import BOTH
from tests.contract.mechanisms import TIMESCALE_RETENTION
from tests.contract.mechanisms import TIMESCALES

GATED = {"decoder": "gated"}
# The length differs from call to call, so that it cannot give the longest timescale.
SPREAD = {"discounts": "log_uniform", "num_timescales": 3, "longest_timescale": 20.0}

# Most checks run on these.
KINDS = [
    case("multi_timescale-gated", *TIMESCALES, **GATED),
    case(
        "multi_timescale_retention-gated-select",
        *TIMESCALE_RETENTION,
        "decoder",
        "epsilon",
        "select",
        epsilon=0.01,
        select=2,
        **GATED,
        **SPREAD,
    ),
]
# Only reference, config and file are checked.
OTHERS = [
    case("multi_timescale-spread", *TIMESCALES, **SPREAD),
    case("multi_timescale-select", *TIMESCALES, "select", select=1, **GATED),
    case(
        "gravitational_multi_timescale-gated-select",
        *BOTH,
        "select",
        select=2,
        value_dim=3,
        use_bias=False,
        **GATED,
        **SPREAD,
    ),
    case(
        "multi_timescale_retention-spread",
        *TIMESCALE_RETENTION,
        "epsilon",
        epsilon=0.01,
        **SPREAD,
    ),
]
