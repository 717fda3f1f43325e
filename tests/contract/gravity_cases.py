"""The option sets of gravity by other distances and another law."""

from tests.contract.case import case
from tests.contract.case import uneven
from tests.contract.case import uneven_loop
from tests.contract.mechanisms import BOTH
from tests.contract.mechanisms import GRAVITY

FORCE = {"normalization": "force"}
# Options that the loops do not take: they are in the weights.
IN_WEIGHTS = ("screening_length", "trainable_discounts", "value_dim", "discounts")


def gravity(id, mechanism=GRAVITY, **options):
    """Return a case whose loop takes all options that matter to it."""
    own = {*options} - {*IN_WEIGHTS}
    name = "gravitational" if mechanism is GRAVITY else "gravitational_multi_timescale"
    made = case(f"{name}-{id}", *mechanism, *own, **options)
    if options.get("metric") is uneven:
        made.loop_options["metric"] = uneven_loop
    return made


# Most checks run on these: each has its own score.
KINDS = [
    gravity("manhattan", metric="manhattan"),
    gravity("hyperbolic", metric="hyperbolic"),
    gravity("mahalanobis-yukawa", metric="mahalanobis", law="yukawa"),
    gravity("cosine-force", BOTH, metric="cosine", **FORCE),
    # With these discounts, no channels of a query and a key nearly agree, where half
    # precision could change the sign of their difference.
    gravity(
        "manhattan-yukawa-force",
        BOTH,
        metric="manhattan",
        law="yukawa",
        discounts=(0.5, 0.9),
        trainable_discounts=True,
        **FORCE,
    ),
]
# Only reference, config and file are checked.
OTHERS = [
    gravity("cosine", metric="cosine"),
    gravity("mahalanobis", metric="mahalanobis", value_dim=3),
    gravity("function", metric=uneven),
    gravity("function-yukawa-force", metric=uneven, law="yukawa", **FORCE),
    gravity("yukawa", law="yukawa", screening_length=0.7, exponent=1.0),
    gravity("manhattan-force", metric="manhattan", exponent=3.0, **FORCE),
    gravity("cosine-yukawa", metric="cosine", law="yukawa", softening=0.3),
    gravity("hyperbolic-yukawa-force", metric="hyperbolic", law="yukawa", **FORCE),
    gravity("manhattan", BOTH, metric="manhattan"),
    gravity("hyperbolic", BOTH, metric="hyperbolic", discounts=(0.5,)),
    gravity("mahalanobis", BOTH, metric="mahalanobis", discount="additive"),
    gravity("function", BOTH, metric=uneven, discount="additive"),
    gravity("yukawa", BOTH, law="yukawa", trainable_discounts=True),
    gravity("cosine-rotary", metric="cosine", positions="rotary"),
    gravity("hyperbolic-rotary", metric="hyperbolic", positions="rotary"),
    gravity("manhattan-alibi", metric="manhattan", positions="alibi"),
]
