"""The targets of layers, and whether they meet them."""

import statistics
from dataclasses import dataclass

from cases import ADDITIVE
from cases import CAUSAL
from cases import CAUSAL_FEATURES
from cases import CAUSAL_LINEAR
from cases import CAUSAL_PERFORMER
from cases import DENSE
from cases import DROPOUT
from cases import FUSED
from cases import GATED_LINEAR
from cases import GLOBAL
from cases import IN_TILES
from cases import KERAS
from cases import LOCAL
from cases import LONGFORMER
from cases import LSH
from cases import MAMBA_2
from cases import PERFORMER
from cases import REFORMER
from cases import RETNET
from cases import RWKV_4
from cases import forward_name
from cases import in_directions

# These take the backend's own kernel if it has one; all others compute in tiles.
FOLDED = ("dot_product", "temporal_weighted")
LONG = 32_768
LONG_BYTES = 2e9
NEAR_AND_FAR_LENGTH = 16_384
NEAR_AND_FAR_ERROR = 1e-5


@dataclass(frozen=True)
class Target:
    """The largest ratio of the time or memory of one case to that of another.

    Args:
        case: Name of the case.
        against: Name of the other case.
        most: The largest ratio for each backend that has a target.
        quantity: "time", "memory", or "state": the bytes of the state of a sequence.
    """

    case: str
    against: str
    most: dict[str, float]
    quantity: str = "time"

    @property
    def name(self):
        return f"{self.case} / {self.against}, {self.quantity}"


def each(torch, jax, tensorflow):
    return {"torch": torch, "jax": jax, "tensorflow": tensorflow}


def everywhere(most):
    return each(most, most, most)


CPU_TARGETS = (
    Target("dot_product", KERAS, each(1.0, 0.25, 1.0)),
    Target("dot_product", KERAS, each(1.0, 0.10, 0.25), "memory"),
    Target("temporal_weighted", "dot_product", everywhere(1.05)),
    Target("gravitational", "dot_product", each(3.0, 1.7, 1.7)),
    Target("gravitational", DENSE, each(0.17, 0.5, 0.5)),
    Target("gravitational", DENSE, each(0.10, 0.10, 0.15), "memory"),
    Target(ADDITIVE, CAUSAL, everywhere(3.3)),
    Target("multi_timescale", "dot_product", everywhere(4.5)),
    Target("gravitational_multi_timescale", "gravitational", everywhere(3.3)),
    Target(DROPOUT, "dot_product", each(2.5, 1.6, 1.6)),
)
FOLDED_INFERENCE = each(1.0, 0.3, 1.0)
TILED_INFERENCE = each(3.0, 0.3, 3.0)
GPU_TARGETS = (
    *(Target(name, FUSED, {"torch": 1.05, "jax": 1.05}) for name in FOLDED),
    Target("gravitational", FUSED, {"torch": 2.0}),
)
LONG_TARGETS = (
    Target("linear", PERFORMER, {"torch": 0.8}),
    Target("performer", PERFORMER, {"torch": 0.8}),
    Target(CAUSAL_LINEAR, CAUSAL_PERFORMER, {"torch": 0.25}),
    Target(CAUSAL_FEATURES, CAUSAL_PERFORMER, {"torch": 0.25}),
    Target("local", LOCAL, {"torch": 0.8}),
    Target("sparse", LONGFORMER, {"torch": 0.4}),
    Target(GLOBAL, LONGFORMER, {"torch": 0.4}),
    Target(LSH, REFORMER, {"torch": 0.7}),
    Target("rwkv", RWKV_4, {"torch": 0.1}),
    Target("retention", RETNET, {"torch": 0.8}),
    Target("gated_linear", GATED_LINEAR, {"torch": 0.8}),
    Target("mamba2", MAMBA_2, {"torch": 0.5}),
)
FURTHER_TARGETS = (
    Target("differential", "dot_product", {"torch": 2.1}),
    Target("latent", "dot_product", {"torch": 1.1}),
    Target("latent", "dot_product", everywhere(0.3), "state"),
    Target("gated_linear", GATED_LINEAR, {"torch": 0.8}),
    Target("mamba2", MAMBA_2, {"torch": 0.5}),
)
# The time in both directions, relative to that in one.
MOST_IN_BOTH = 1.1
# Relative to the time of the same layer on PyTorch.
MOST_ELSEWHERE = 1.5
MOST_SLOPE = 1.1
# The time of a step at position 100,000, relative to one at position 100.
MOST_LATE = 1.2
NEAR_AND_FAR = Target("multi_timescale", IN_TILES, everywhere(1 / 3))


def targets_for(mechanisms, backend, gpu=False):
    """The targets of these mechanisms on this backend."""
    inference = [
        Target(
            forward_name(name),
            forward_name(KERAS),
            FOLDED_INFERENCE if name in FOLDED else TILED_INFERENCE,
        )
        for name in mechanisms
    ]
    targets = GPU_TARGETS if gpu else (*CPU_TARGETS, *inference)
    return [target for target in targets if backend in target.most]


def further_targets(directed, backend):
    """The targets of later layers, and of mechanisms that run in both directions."""
    directions = [
        Target(f"{name}, both directions", f"{name}, causal", everywhere(MOST_IN_BOTH))
        for name, _, _ in in_directions(directed)
    ]
    found = (*FURTHER_TARGETS, *directions)
    return [target for target in found if backend in target.most]


def judge(targets, results, backend):
    """One row for each target whose case was run, ready for JSON."""
    by_name = {result["name"]: result for result in results}
    return [
        verdict(
            target.name,
            ratio(by_name[target.case], by_name.get(target.against), target.quantity),
            target.most[backend],
        )
        for target in targets
        if target.case in by_name
    ]


def judge_steps(results):
    """Whether a step takes as long late in a sequence as early."""
    rows = []
    for result in results:
        times = result.get("step_seconds")
        if times:
            early, late = (statistics.median(found) for found in times.values())
            where = " and ".join(f"{int(position):,}" for position in reversed(times))
            rows.append(
                verdict(f"{result['name']}, a step at {where}", late / early, MOST_LATE)
            )
    return rows


def verdict(name, measured, most, unit=""):
    """The measurement, or why there is none, and its limit."""
    row = {"target": name, "most": most, "unit": unit}
    if isinstance(measured, str):
        return {**row, "measured": None, "verdict": measured}
    return {
        **row,
        "measured": measured,
        "verdict": "met" if measured <= most else "missed",
    }


def ratio(result, other, quantity):
    """The ratio of `result` to `other`, or why there is none."""
    for side in (result, other):
        problem = "not measured" if side is None else problem_of(side)
        if problem:
            return problem
    if quantity == "state":
        return result["state"] / other["state"]
    if quantity == "memory":
        # Short sequences may fit in memory that the framework already holds.
        least = min(result["memory"], other["memory"])
        return result["memory"] / other["memory"] if least > 0 else "too little"
    return result["median"] / other["median"]


def problem_of(result):
    """Why a result must not be compared, or `None`."""
    if result.get("agrees") is False:
        return "WRONG"
    return result.get("problem")
