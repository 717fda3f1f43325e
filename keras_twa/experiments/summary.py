"""The summary of the runs of a comparison."""

import dataclasses
import os
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

from keras_twa.experiments.comparison import COMPARISON_FILE
from keras_twa.experiments.comparison import EARLIER_FORMAT
from keras_twa.experiments.comparison import FORMAT
from keras_twa.experiments.config import BASELINE
from keras_twa.experiments.results import FILE_NAME
from keras_twa.experiments.results import Estimate
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import check_types
from keras_twa.experiments.results import estimate
from keras_twa.experiments.results import load_results
from keras_twa.experiments.results import read_json
from keras_twa.experiments.results import relative_improvement
from keras_twa.experiments.sweep import with_chosen_rates
from keras_twa.experiments.text import attention_text
from keras_twa.style import colours
from keras_twa.tasks import Metric
from keras_twa.tasks import Settings
from keras_twa.tasks.task import AS_GIVEN

SHARE = 0.9
# The contents of `comparison.json`.
KINDS = {
    "task": str,
    "preset": str,
    "backend": str,
    "settings": dict,
    "source": str,
    "note": str,
    "rows": dict,
    "baselines": dict,
}


@dataclass
class MechanismRuns:
    """The runs of one mechanism, in order of their seeds.

    Args:
        name: Its name.
        colour: Its colour in figures and tables.
        runs: Its results, with a sweep those of the chosen learning rate.
        remark: What the label says in brackets, if anything.
        tried: All its results of a sweep of learning rates.
    """

    name: str
    colour: str
    runs: list[Result] = field(default_factory=list)
    remark: str = ""
    tried: list[Result] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The name for people."""
        label = attention_text(self.name)
        return f"{label} ({self.remark})" if self.remark else label

    @property
    def completed(self) -> list[Result]:
        """The runs that were tested."""
        return [run for run in self.runs if run.status == "completed"]

    @property
    def trained(self) -> list[Result]:
        """The runs with at least one epoch."""
        return [run for run in self.runs if run.curve]

    @property
    def scores(self) -> dict[int, float]:
        """Test score by seed."""
        return {
            run.experiment.seed: run.score
            for run in self.completed
            if run.score is not None
        }

    @property
    def score(self) -> Estimate | None:
        """Mean test score."""
        return estimate(list(self.scores.values()))

    @property
    def loss(self) -> Estimate | None:
        """Mean test loss."""
        return estimate([run.test["loss"] for run in self.completed])

    def mean(self, name: str) -> Estimate | None:
        """Mean of an attribute of its completed results."""
        values = [getattr(run, name) for run in self.completed]
        return estimate([value for value in values if value is not None])


@dataclass
class Summary:
    """A comparison read from its folder.

    Args:
        facts: The contents of `comparison.json`.
        mechanisms: The mechanisms, the baseline first.
    """

    facts: dict[str, Any]
    mechanisms: list[MechanismRuns]

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> "Summary":
        """Reads a folder.

        Raises:
            ValueError: If the folder has no comparison, or a foreign result.
        """
        folder = Path(directory)
        path = folder / COMPARISON_FILE
        facts = read_json(path)
        if facts.get("format") not in (EARLIER_FORMAT, FORMAT):
            raise ValueError(
                f"Not a comparison of this version of keras_twa. Received: {path}"
            )
        check_types(facts, KINDS, path)
        baselines = dict.fromkeys(facts["baselines"], (int, float))
        check_types(facts["baselines"], baselines, path)
        settings = Settings.from_json(facts["settings"])
        facts["settings"] = dataclasses.asdict(settings)
        check_types(facts["rows"], dict.fromkeys(facts["rows"], int), path)
        by_name: dict[str, list[Result]] = {}
        for result in load_results(folder, facts.get("fingerprint")):
            _check_same(result, facts, folder)
            by_name.setdefault(result.experiment.attention, []).append(result)
        first = facts.setdefault("baseline", BASELINE)
        remarks = {first: "baseline", BASELINE: "conventional"}
        swept = bool(facts.setdefault("learning_rates", []))
        order = sorted(by_name, key=lambda name: (name != first, *_place(name)))
        return cls(
            facts,
            [
                MechanismRuns(
                    name,
                    tint,
                    sorted(
                        with_chosen_rates(by_name[name]),
                        key=lambda x: x.experiment.seed,
                    ),
                    remarks.get(name, ""),
                    by_name[name] if swept else [],
                )
                for name, tint in colours(order).items()
            ],
        )

    @property
    def runs(self) -> list[Result]:
        """All results, also of learning rates that were not chosen."""
        return [run for each in self.mechanisms for run in each.tried or each.runs]

    @property
    def baseline(self) -> MechanismRuns | None:
        """What the others are compared with, if it was run."""
        name = self.facts["baseline"]
        return next((m for m in self.mechanisms if m.name == name), None)

    @property
    def baseline_text(self) -> str:
        """The name of the baseline for people, in few words."""
        name = self.facts["baseline"]
        return "conventional" if name == BASELINE else attention_text(name)

    @property
    def baseline_phrase(self) -> str:
        """The name of the baseline in a sentence."""
        name = self.facts["baseline"]
        known = {BASELINE: "conventional attention", AS_GIVEN: "the model as given"}
        return known.get(name, attention_text(name))

    @property
    def metric(self) -> Metric:
        """What the runs are compared by."""
        return Metric.from_json(self.facts.get("metric"))

    @property
    def chance(self) -> float | None:
        """The score of the most trivial baseline."""
        return next(map(float, self.facts["baselines"].values()), None)

    def difference(self, mechanism: MechanismRuns) -> Estimate | None:
        """Test score minus that of the baseline, by seed."""
        if self.baseline is None or mechanism is self.baseline:
            return None
        other = self.baseline.scores
        found = mechanism.scores
        return estimate([found[seed] - other[seed] for seed in found if seed in other])

    def improvement(self, mechanism: MechanismRuns) -> Estimate | None:
        """Relative improvement over the baseline, by seed."""
        if self.baseline is None or mechanism is self.baseline:
            return None
        return relative_improvement(mechanism.scores, self.baseline.scores)

    def to_own_best(self, run: Result) -> tuple[int, float] | None:
        """Epochs and seconds of a run to 90 % of its own best score.

        Where lower is better: to at most 1 / 0.9 of it.
        """
        best = run.best_validation
        if best is None:
            return None
        return run.reached(
            SHARE * best if self.metric.higher_is_better else best / SHARE
        )

    def to_baseline_gain(self, run: Result) -> tuple[int, float] | None:
        """Epochs and seconds to 90 % of the gain of the baseline.

        This is the gain over chance of the run with the same seed.
        """
        if self.baseline is None or self.chance is None:
            return None
        for other in self.baseline.trained:
            best = other.best_validation
            if other.experiment.seed == run.experiment.seed and best is not None:
                return run.reached(self.chance + SHARE * (best - self.chance))
        return None


def _check_same(result: Result, facts: dict[str, Any], folder: Path) -> None:
    """Raises `ValueError` for a result of another comparison."""
    values = result.experiment.to_json()
    different = [
        name for name in ("task", "preset", "settings") if values[name] != facts[name]
    ]
    if different:
        raise ValueError(
            f"A result of another comparison: its {' and '.join(different)} differ. "
            f"Received: {folder / result.experiment.name / FILE_NAME}"
        )


def _place(name: str) -> tuple[int, str]:
    known = (
        "temporal_weighted",
        "gravitational",
        "multi_timescale",
        "gravitational_multi_timescale",
    )
    return (known.index(name) if name in known else len(known), name)
