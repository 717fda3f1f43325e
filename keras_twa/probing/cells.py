"""The cells of a matrix: one mechanism on one probe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_twa.experiments.results import Estimate
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import estimate
from keras_twa.experiments.summary import MechanismRuns
from keras_twa.tasks import Settings
from keras_twa.tasks.probes.rows import batches_of_epoch
from keras_twa.tasks.probes.rows import name_of_test

# Follows a score whose run was still improving when its budget ended.
IMPROVING = "…"
# Follows a score for which rates or seeds are missing.
PARTIAL = "?"
MISSING = "–"


@dataclass(frozen=True)
class Cell:
    """One mechanism on one probe.

    Args:
        attention: The text of the mechanism.
        probe: The `Probe`.
        settings: The `Settings` of its runs.
        runs: The complete runs, with the learning rate that was chosen.
        tried: All runs, also of other rates, and those that are not complete.
        skipped: Why the mechanism cannot take the probe, or "".
        rates: How many rates the sweep has.
        seeds: How many seeds there should be.
    """

    attention: str
    probe: Any
    settings: Settings
    runs: Sequence[Result] = ()
    tried: Sequence[Result] = ()
    skipped: str = ""
    rates: int = 0
    seeds: int = 1

    @classmethod
    def of(cls, found: MechanismRuns | None, **facts: Any) -> "Cell":
        """Returns the cell of the runs of a mechanism, `None` if it has none."""
        if found is None:
            return cls(**facts)
        runs = found.completed
        return cls(**facts, runs=runs, tried=found.tried or found.runs)

    @property
    def score(self) -> Estimate | None:
        """From 0 (no better than chance) to 1 (perfect), over seeds."""
        return self.normalized([run.score for run in self.runs])

    @property
    def test(self) -> Estimate | None:
        """The score on the test rows as the task measures it, over seeds."""
        return estimate([run.score for run in self.runs if run.score is not None])

    @property
    def at_lengths(self) -> dict[int, Estimate]:
        """The score for each multiple of the length of training rows."""
        name = self.probe.metric.name
        found = {}
        for times in self.probe.test_lengths:
            if times == 1:
                scores = [run.score for run in self.runs]
            else:
                tests = [
                    run.further_tests.get(name_of_test(times)) for run in self.runs
                ]
                scores = [test.get(name) for test in tests if test]
            score = self.normalized(scores)
            if score is not None:
                found[times] = score
        return found

    @property
    def updates(self) -> int:
        """Optimizer steps between two validations."""
        return batches_of_epoch(self.settings, self.settings.batch_size)

    @property
    def parameters(self) -> int | None:
        """Trainable weights of the model."""
        return next((run.parameters for run in self.tried if run.parameters), None)

    @property
    def learning_rate(self) -> float | None:
        """The rate that was chosen."""
        return self.runs[0].experiment.learning_rate if self.runs else None

    @property
    def improving(self) -> bool:
        """Whether the budget of some run ended before a plateau."""
        return any(run.improving for run in self.runs)

    @property
    def partial(self) -> bool:
        """Whether runs are missing that a later call would add."""
        if self.skipped or self.failed:
            return False
        if len(self.runs) < self.seeds:
            return True
        tried = {run.experiment.learning_rate for run in self._complete}
        solved = any(run.solved(self.probe.task.solved) for run in self._complete)
        return len(tried) < self.rates and not solved

    @property
    def failed(self) -> str:
        """Why its runs failed, or "" if some are complete or none has failed."""
        failed = [run for run in self.tried if run.status == "failed"]
        return failed[0].reason or "failed" if failed and not self._complete else ""

    @property
    def text(self) -> str:
        """The score with its interval and marks, or what there is instead."""
        score = self.score
        if score is None:
            return "failed" if self.failed else MISSING if self.skipped else ""
        marks = (IMPROVING if self.improving else "") + (
            PARTIAL if self.partial else ""
        )
        return f"{score_text(score.mean, score.half_width)} {marks}".strip()

    def normalized(self, scores: Sequence[float | None]) -> Estimate | None:
        """Returns scores as from 0 to 1, over seeds."""
        return estimate(
            [self.probe.normalized(x, self.settings) for x in scores if x is not None]
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        score, test = self.score, self.test
        return {
            "probe": self.probe.name,
            "attention": self.attention,
            "score": score and score.mean,
            "interval": score and score.half_width,
            "values": score and [*score.values],
            "test": test and test.mean,
            "chance": self.probe.chance(self.settings),
            "at_lengths": {str(n): x.mean for n, x in self.at_lengths.items()},
            "parameters": self.parameters,
            "learning_rate": self.learning_rate,
            "seeds": len(self.runs),
            "improving": self.improving,
            "partial": self.partial,
            "skipped": self.skipped,
            "failed": self.failed,
        }

    @property
    def _complete(self) -> list[Result]:
        return [run for run in self.tried if run.status == "completed"]


def score_text(mean: float, half_width: float | None) -> str:
    """Returns a score and its interval for people, such as `0.97 ± 0.02`."""
    return f"{mean:.2f}" + ("" if half_width is None else f" ± {half_width:.2f}")
