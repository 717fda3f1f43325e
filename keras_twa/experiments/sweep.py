"""A sweep of learning rates, which is the same for each mechanism.

The first seed of a mechanism runs with every rate. The rate with the best validation
score is chosen, and the other seeds run with this one.
"""

import dataclasses
import math
from collections.abc import Iterable
from collections.abc import Sequence

from keras_twa.experiments.config import Experiment
from keras_twa.experiments.results import Result


def check_rates(rates: Sequence[float]) -> tuple[float, ...]:
    """Returns the rates of a sweep as floats, each once.

    Raises:
        ValueError: If one is not positive and finite.
    """
    if isinstance(rates, (str, bytes)) or not isinstance(rates, Iterable):
        raise ValueError(
            f"Learning rates must be a list of numbers. Received: {rates!r}"
        )
    found = []
    for rate in rates:
        number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
        if not number or not math.isfinite(rate) or rate <= 0:
            raise ValueError(
                "A learning rate must be a positive number. "
                f"Received: learning_rates={list(rates)!r}"
            )
        found.append(float(rate))
    return tuple(dict.fromkeys(found))


def first_runs(
    experiments: Sequence[Experiment], rates: Sequence[float]
) -> list[Experiment]:
    """Returns the first seed of each mechanism with every rate."""
    return [
        dataclasses.replace(experiment, learning_rate=rate)
        for experiment in experiments
        if experiment.seed == experiments[0].seed
        for rate in rates
    ]


def one_process(
    left: Sequence[Result], done: Sequence[Result], solved: float | None
) -> list[list[Result]]:
    """Returns the runs that share a process: those that differ in the rate only.

    Args:
        left: The runs that are not complete.
        done: The results so far, of complete runs too.
        solved: The validation score at which the task is solved, or `None`. Once a run
            has solved it, the other rates are not needed.
    """
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in left:
        experiment = result.experiment
        key = (experiment.attention, experiment.seed)
        groups.setdefault(key, []).append(result)
    ended = {
        (result.experiment.attention, result.experiment.seed)
        for result in done
        if result.status == "completed" and result.solved(solved)
    }
    return [group for key, group in groups.items() if key not in ended]


def other_runs(
    experiments: Sequence[Experiment], results: Sequence[Result]
) -> list[Experiment]:
    """Returns the other seeds of each mechanism, with the rate that it chose.

    Args:
        experiments: All experiments, without a rate of their own.
        results: The results of the runs of the first seeds.
    """
    rates = {}
    for attention in {experiment.attention for experiment in experiments}:
        runs = [r for r in results if r.experiment.attention == attention]
        if all(run.status in ("completed", "failed") for run in runs):
            rates[attention] = chosen_rate(runs)
    return [
        dataclasses.replace(experiment, learning_rate=rates[experiment.attention])
        for experiment in experiments
        if experiment.seed != experiments[0].seed
        and rates.get(experiment.attention) is not None
    ]


def chosen_rate(runs: Sequence[Result]) -> float | None:
    """Returns the rate with the best validation score, in the runs of one mechanism.

    Of equal scores, the one with the lower loss is better. Only the seed that ran with
    the most rates counts. `None` without a complete run, or without a sweep.
    """
    by_seed: dict[int, list[Result]] = {}
    for run in runs:
        by_seed.setdefault(run.experiment.seed, []).append(run)
    swept = max(by_seed.values(), key=len, default=[])
    best: Result | None = None
    for run in swept:
        if run.status != "completed" or run.best_validation is None:
            continue
        if best is None or _better(run, best):
            best = run
    return None if best is None else best.experiment.learning_rate


def _better(run: Result, other: Result) -> bool:
    """Whether a run has a better validation score, or of equal ones a lower loss."""
    if run.best_validation == other.best_validation:
        return run.best_loss < other.best_loss
    return run.metric.better(run.best_validation or 0.0, other.best_validation or 0.0)


def with_chosen_rates(results: Sequence[Result]) -> list[Result]:
    """Returns the results without the runs whose rates were not chosen."""
    kept = []
    for attention in dict.fromkeys(r.experiment.attention for r in results):
        runs = [r for r in results if r.experiment.attention == attention]
        rate = chosen_rate(runs)
        kept += [r for r in runs if rate in (None, r.experiment.learning_rate)]
    return kept
