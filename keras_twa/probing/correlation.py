"""Whether scores on probes go with accuracies elsewhere: rank correlations."""

import csv
import warnings
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_twa.experiments.comparison import COMPARISON_FILE
from keras_twa.experiments.results import Result
from keras_twa.experiments.summary import Summary
from keras_twa.mechanism import Mechanism
from keras_twa.mechanism import parse

FEWEST = 4
DRAWS = 10_000


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over mechanisms.

    Args:
        value: The correlation.
        low: The lower end of its 95 % bootstrap interval.
        high: The upper end.
        count: The number of mechanisms.
    """

    value: float
    low: float
    high: float
    count: int

    @property
    def text(self) -> str:
        """The correlation and its interval for people."""
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def correlation(
    scores: Mapping[str, float], accuracies: Mapping[str, float], seed: int = 0
) -> Correlation | None:
    """Returns the rank correlation of two values of mechanisms.

    The interval is a percentile interval over mechanisms, drawn with replacement.

    Args:
        scores: A value for each mechanism, by its text.
        accuracies: Another value for each mechanism.
        seed: Seed of the draws.

    Returns:
        The `Correlation` over the mechanisms in both, `None` for fewer than four, or if
        one of the values is the same for all.

    Example:

    >>> found = correlation(
    ...     {"a": 0.1, "b": 0.4, "c": 0.5, "d": 0.9},
    ...     {"a": 0.2, "b": 0.3, "c": 0.7, "d": 0.8},
    ... )
    >>> (found.value, found.count)
    (1.0, 4)
    """
    from scipy import stats

    names = [name for name in scores if name in accuracies]
    pairs = np.array([(scores[name], accuracies[name]) for name in names])
    if len(names) < FEWEST or (pairs == pairs[:1]).all(axis=0).any():
        return None
    value = float(stats.spearmanr(*pairs.T).statistic)
    rng = np.random.default_rng(seed)
    drawn = pairs[rng.integers(len(names), size=(DRAWS, len(names)))]
    ranks = stats.rankdata(drawn, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    # A draw in which all values are equal has no correlation.
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        spread = np.sqrt(np.square(ranks).sum(axis=1).prod(axis=1))
        found = ranks.prod(axis=2).sum(axis=1) / spread
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Correlation(value, float(low), float(high), len(names))


def matched(
    scores: Mapping[str, float], accuracies: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, str]]:
    """Returns accuracies by the texts of mechanisms that scores have.

    Comparisons may have other options, such as a smaller window on shorter rows. So a
    text that only one of them has stands for a text of the same mechanism, if each of
    the two has just one that is left.

    Args:
        scores: Scores by text.
        accuracies: Accuracies by text.

    Returns:
        The accuracies, and which text of theirs stands for which other one.
    """
    found = {text: x for text, x in accuracies.items() if text in scores}
    left = _by_name([text for text in scores if text not in found])
    others = _by_name([text for text in accuracies if text not in found])
    replaced = {}
    for name, texts in others.items():
        if len(texts) == len(left.get(name, ())) == 1:
            replaced[texts[0]] = left[name][0]
            found[left[name][0]] = accuracies[texts[0]]
    return found, replaced


def accuracies_in(folder: Path) -> dict[str, dict[str, float]]:
    """Returns the mean test score of each mechanism in other comparisons.

    Where lower is better, scores have the opposite sign.

    Args:
        folder: The folder of a comparison; one with a folder for each comparison; one
            with results of runs as `NAME.json`; or one with a table `results.csv`, as
            `benchmarks/time_series.py` writes it.

    Returns:
        The scores by comparison and by the text of the mechanism.

    Raises:
        ValueError: If the folder has none of these.
    """
    found = dict(_found_in(folder))
    if not found:
        raise ValueError(
            f"The folder has no comparison, and no results. Received: {folder}"
        )
    return found


def _found_in(folder: Path) -> Iterator[tuple[str, dict[str, float]]]:
    if (folder / COMPARISON_FILE).exists():
        yield folder.name, _of_summary(folder)
        return
    inner = sorted(path.parent for path in folder.glob(f"*/{COMPARISON_FILE}"))
    for each in inner:
        yield f"{folder.name}/{each.name}", _of_summary(each)
    if inner:
        return
    if (folder / "results.csv").exists():
        for name, values in _of_table(folder / "results.csv").items():
            yield f"{folder.name}/{name}", _means(values)
        return
    runs: dict[str, list[float]] = {}
    for path in sorted(folder.glob("*.json")):
        result = Result.load(path)
        if result.status == "completed" and result.score is not None:
            sign = 1 if result.metric.higher_is_better else -1
            text = result.experiment.attention
            runs.setdefault(text, []).append(sign * result.score)
    if runs:
        yield folder.name, _means(runs)


def _of_summary(folder: Path) -> dict[str, float]:
    summary = Summary.load(folder)
    sign = 1 if summary.metric.higher_is_better else -1
    return {x.name: sign * x.score.mean for x in summary.mechanisms if x.score}


def _of_table(path: Path) -> dict[str, dict[str, list[float]]]:
    """The test scores of the rates that were chosen, by data set and mechanism."""
    runs: dict[str, dict[str, list[tuple[str, str, float, float]]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                validation = float(row["validation_percent"])
                test = float(row["test_percent"])
                of_data = runs.setdefault(row["data"], {})
                of_data.setdefault(row["attention"], []).append(
                    (row["seed"], row["learning_rate"], validation, test)
                )
            except (KeyError, ValueError) as error:
                raise ValueError(
                    f"Not a table of results ({error}). Received: {path}"
                ) from None
    return {
        name: {text: _chosen(found) for text, found in those.items()}
        for name, those in runs.items()
    }


def _chosen(runs: list[tuple[str, str, float, float]]) -> list[float]:
    """The test scores of the rate with the best validation score in the sweep."""
    seeds = [seed for seed, *_ in runs]
    swept = max(seeds, key=seeds.count)
    sweep = [(score, rate) for seed, rate, score, _ in runs if seed == swept]
    _, chosen = max(sweep, key=lambda item: item[0])
    return [test for _, rate, _, test in runs if rate == chosen]


def _means(values: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: float(np.mean(found)) for name, found in values.items()}


def _by_name(texts: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        mechanism = parse(text)
        if isinstance(mechanism, Mechanism):
            found.setdefault(mechanism.name, []).append(text)
    return found
