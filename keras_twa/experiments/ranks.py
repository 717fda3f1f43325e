"""Mean ranks over several data sets, and which of them differ."""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from keras_twa.experiments.document import Figure
from keras_twa.experiments.drawing import drawn
from keras_twa.experiments.drawing import row_axes


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Mechanisms in order of their mean rank; rank 1 is the best.

    Args:
        mean_ranks: The mean rank of each mechanism over the data sets, the best first.
            Equal scores share a rank.
        count: The number of data sets.
        statistic: Friedman's statistic, corrected for equal ranks.
        p_value: The probability of such a statistic if all mechanisms were equal.
        critical_difference: Nemenyi's: two mechanisms differ if their mean ranks differ
            by at least as much.
        alpha: The level of significance.
    """

    mean_ranks: Mapping[str, float]
    count: int
    statistic: float
    p_value: float
    critical_difference: float
    alpha: float

    def differ(self, one: str, other: str) -> bool:
        """Returns whether Nemenyi's test tells two mechanisms apart."""
        difference = abs(self.mean_ranks[one] - self.mean_ranks[other])
        return difference >= self.critical_difference

    @property
    def pairs_that_differ(self) -> list[tuple[str, str]]:
        """The pairs of mechanisms that Nemenyi's test tells apart."""
        pairs = itertools.combinations(self.mean_ranks, 2)
        return [pair for pair in pairs if self.differ(*pair)]


def ranking(
    scores: Mapping[str, Sequence[float]],
    higher_is_better: bool = True,
    alpha: float = 0.05,
) -> Ranking:
    """Ranks mechanisms on each data set, and compares the mean ranks.

    Args:
        scores: For each mechanism, a score for each data set, in the same order.
        higher_is_better: Whether a larger score is better.
        alpha: The level of significance.

    Returns:
        The `Ranking`.

    Raises:
        ValueError: If there are fewer than three mechanisms or two data sets, a score
            is missing or not finite, or `alpha` is not between 0 and 1.

    Example:

    >>> ranking({"a": [0.5, 0.6], "b": [0.9, 0.8], "c": [0.7, 0.6]}).mean_ranks
    {'b': 1.0, 'c': 2.25, 'a': 2.75}

    Reference:

    - [Demšar, 2006](https://jmlr.org/papers/v7/demsar06a.html)
    """
    # Slow to import.
    from scipy import stats

    table = _table(scores)
    if not 0 < alpha < 1:
        raise ValueError(f"`alpha` must be between 0 and 1. Received: alpha={alpha}")
    ranks = stats.rankdata(-table if higher_is_better else table, axis=1)
    if np.all(ranks == ranks[:, :1]):
        # The statistic is 0 / 0 where all scores are equal.
        statistic, p_value = 0.0, 1.0
    else:
        statistic, p_value = stats.friedmanchisquare(*table.T)
    means = dict(zip(scores, map(float, ranks.mean(axis=0)), strict=True))
    return Ranking(
        mean_ranks=dict(sorted(means.items(), key=lambda item: item[1])),
        count=len(table),
        statistic=float(statistic),
        p_value=float(p_value),
        critical_difference=critical_difference(table.shape[1], len(table), alpha),
        alpha=alpha,
    )


def critical_difference(mechanisms: int, data_sets: int, alpha: float = 0.05) -> float:
    """Returns the difference of mean ranks from which on Nemenyi's test tells apart.

    It is `q sqrt(k (k + 1) / (6 n))` for k mechanisms on n data sets, where `q sqrt(2)`
    is a quantile of the studentized range.

    Example:

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    from scipy import stats

    quantile = stats.studentized_range.ppf(1 - alpha, mechanisms, math.inf)
    spread = math.sqrt(mechanisms * (mechanisms + 1) / (6 * data_sets))
    return float(quantile) / math.sqrt(2) * spread


def rank_figure(
    found: Ranking, labels: Mapping[str, str], colours: Mapping[str, str]
) -> Figure:
    """Draws mean ranks with bars of the critical difference.

    Args:
        found: The `Ranking`.
        labels: The name of each mechanism for people.
        colours: The colour of each mechanism.
    """
    names = list(found.mean_ranks)
    figure, axes = row_axes(0.6 * len(names))
    half = found.critical_difference / 2
    best = found.mean_ranks[names[0]]
    axes.axvspan(best - half, best + half, color="#e3e7ec", zorder=0)
    for row, (name, rank) in enumerate(found.mean_ranks.items()):
        tint = colours[name]
        axes.errorbar(rank, row, xerr=half, color=tint, linewidth=2, capsize=3)
        axes.scatter(rank, row, s=50, color=tint, zorder=3)
        axes.annotate(
            f"{rank:.1f}",
            (rank, row),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(names)), [labels[name] for name in names])
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(colours[name])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlabel(f"mean rank over {found.count} data sets (1 is the best)")
    return drawn(
        figure,
        "ranks",
        "Mean ranks. Bars are as long as the critical difference: where two do not "
        f"overlap, Nemenyi's test tells the mechanisms apart (α = {found.alpha:g}). "
        "Shaded: the bar of the best.",
    )


def _table(scores: Mapping[str, Sequence[float]]) -> np.ndarray:
    """The scores as `(data sets, mechanisms)`."""
    counts = {len(values) for values in scores.values()}
    if len(scores) < 3 or len(counts) != 1 or min(counts) < 2:
        raise ValueError(
            "Ranks need at least three mechanisms, each with a score on the same two "
            "or more data sets. Received: "
            f"{ {name: len(values) for name, values in scores.items()} }"
        )
    table = np.array(list(scores.values()), "float64").T
    if not np.isfinite(table).all():
        raise ValueError(f"Scores must be finite. Received: scores={dict(scores)}")
    return table
