"""What papers have published about mechanisms, as claims that scores can be held to."""

import itertools
from dataclasses import dataclass

# A smaller difference of scores does not count as one.
MARGIN = 0.05
SOLVES, FAILS = 0.9, 0.1
ZOOLOGY = "[Arora et al., 2023](https://arxiv.org/abs/2312.04927)"
MAD = "[Poli et al., 2024](https://arxiv.org/abs/2403.17844)"
EIGENVALUES = "[Grazzi et al., 2024](https://arxiv.org/abs/2411.12537)"
DELTA_PRODUCT = "[Siems et al., 2025](https://arxiv.org/abs/2502.10297)"
MAMBA = "[Gu and Dao, 2023](https://arxiv.org/abs/2312.00752)"
COPYING = "[Jelassi et al., 2024](https://arxiv.org/abs/2402.01032)"
STATE_SPACE = "mamba2(convolution=4)"
DELTA_NET = "gated_delta(convolution=4)"
REFLECTING = "gated_delta(negative_eigenvalues=True)"
ROTATING = "gated_delta(negative_eigenvalues=True, num_householder=2)"
WINDOW = "local(window=8)"
# The percentages of the paper's table, by the mechanism that is closest to it here.
MAD_TABLE = {
    "compression": (51.6, 52.7, 38.8, 42.2),
    "fuzzy_recall": (29.8, 6.7, 6.9, 35.7),
    "memorization": (85.2, 89.5, 63.3, 52.8),
    "noisy_recall": (86.8, 90.1, 81.6, 100.0),
    "selective_copying": (99.6, 86.3, 88.6, 100.0),
}
MAD_MECHANISMS = ("dot_product", STATE_SPACE, "gated_linear", DELTA_NET)


@dataclass(frozen=True)
class Outcome:
    """A published outcome.

    Args:
        probe: The name of the probe that asks the same.
        claim: What the paper says.
        source: The paper, as a link.
        solves: Mechanisms with a score of at least `SOLVES`.
        fails: Mechanisms with a score of at most `FAILS`.
        better: Pairs of mechanisms, of which the first has a higher score.
        preset: The preset of the probe that comes closest.
        times: The length of test rows, as a multiple of that in training.
        remark: Why ours differs, if it does.
    """

    probe: str
    claim: str
    source: str
    solves: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    better: tuple[tuple[str, str], ...] = ()
    preset: str = "standard"
    times: int = 1
    remark: str = ""

    @property
    def mechanisms(self):
        """All mechanisms that it is about, each once."""
        pairs = itertools.chain.from_iterable(self.better)
        return tuple(dict.fromkeys([*self.solves, *self.fails, *pairs]))

    def agreement(self, scores):
        """How many of its statements hold, and of how many.

        Args:
            scores: The score of each mechanism that is known.
        """
        held = [scores[name] >= SOLVES for name in self.solves if name in scores]
        held += [scores[name] <= FAILS for name in self.fails if name in scores]
        held += [
            scores[first] - scores[second] > MARGIN
            for first, second in self.better
            if first in scores and second in scores
        ]
        return sum(held), len(held)


def ordered(percentages):
    """The pairs of mechanisms whose published scores differ by more than the margin."""
    return tuple(
        (first, second)
        for first, second in itertools.permutations(percentages, 2)
        if percentages[first] - percentages[second] > 100 * MARGIN
    )


def _of_mad(probe, values):
    percentages = dict(zip(MAD_MECHANISMS, values, strict=True))
    names = ("Transformer", "Mamba", "GLA", "DeltaNet")
    numbers = ", ".join(
        f"{name} {value}" for name, value in zip(names, values, strict=True)
    )
    return Outcome(probe, f"Per cent: {numbers}", MAD, better=ordered(percentages))


OUTCOMES = (
    Outcome(
        "associative_recall",
        "Softmax attention solves it. RetNet and RWKV need a width that grows with the "
        "length.",
        ZOOLOGY,
        solves=("dot_product",),
        better=(
            ("dot_product", "retention"),
            ("dot_product", "rwkv"),
            ("dot_product", "linear"),
        ),
    ),
    Outcome(
        "associative_recall",
        "DeltaNet solves it.",
        ZOOLOGY,
        solves=(DELTA_NET,),
    ),
    Outcome(
        "associative_recall",
        "A local window fails beyond its length.",
        ZOOLOGY,
        better=(("dot_product", WINDOW),),
    ),
    *(_of_mad(probe, values) for probe, values in MAD_TABLE.items()),
    Outcome(
        "parity",
        "On longer rows than in training, from 0 to 1: Transformer 0.02; DeltaNet with "
        "eigenvalues in [0, 1] 0.02, in [-1, 1] 1.",
        EIGENVALUES,
        solves=(REFLECTING,),
        fails=("dot_product", "gated_delta"),
        times=4,
    ),
    Outcome(
        "permutations",
        "S5 by exchanges: DeltaNet learns it with eigenvalues in [-1, 1]. With those "
        "in [0, 1], it hardly passes the training length.",
        EIGENVALUES,
        better=((REFLECTING, "gated_delta"),),
        times=2,
    ),
    Outcome(
        "permutations",
        "S3 in one layer needs two Householder products and eigenvalues in [-1, 1].",
        DELTA_PRODUCT,
        solves=(ROTATING,),
        better=((ROTATING, "gated_delta"),),
        preset="quick",
    ),
    Outcome(
        "induction",
        "Mamba holds at far longer rows than in training. Attention with rotary "
        "positions degrades.",
        MAMBA,
        better=((STATE_SPACE, "dot_product"),),
        times=16,
    ),
    Outcome(
        "copying",
        "Transformers copy strings that state space models of their size cannot.",
        COPYING,
        better=(("dot_product", STATE_SPACE),),
    ),
)
