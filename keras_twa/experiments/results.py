"""Results of runs: their JSON files, and estimates from several of them."""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

from keras_twa import files
from keras_twa.experiments.config import Experiment
from keras_twa.tasks.fingerprint import Fingerprint
from keras_twa.tasks.fingerprint import check_same_rows
from keras_twa.tasks.task import Metric

# The format of earlier versions, which knew one metric, accuracy.
EARLIER_FORMAT = 1
FORMAT = 2
STATUSES = ("running", "stopped", "completed", "failed")
FILE_NAME = "result.json"
# The values of each epoch, beside the metrics of the task.
POINT = ("epoch", "train_loss", "validation_loss", "seconds", "total_seconds")


@dataclass
class Result:
    """The result of one run, complete or not.

    Args:
        experiment: The `Experiment`.
        status: `"running"` (now, or killed), `"stopped"` (it continues when started
            again), `"completed"` or `"failed"`.
        reason: Why it stopped or failed.
        environment: Versions, backend and hardware.
        parameters: Number of trainable parameters.
        steps: Optimizer steps done.
        curve: One dictionary per epoch: `epoch`, `train_loss`, `validation_loss`, the
            metrics likewise, `seconds` (this epoch's training without compilation) and
            `total_seconds` (all epochs' so far).
        best_epoch: Epoch with the best validation score; its weights are tested.
        test: Loss and metrics on the test rows, read once, at the end.
        further_tests: Loss and metrics on further test rows, by the name of the split,
            if the rows of the task have some, such as longer ones.
        metric: The `Metric` that decides what is best.
        compile_seconds: Extra time of the first batch of each shape, compared with
            a usual batch of that shape.
        memory: Bytes: `peak` and `before_model` of the process, and
            `device_peak` if the backend reports it.
        starts: Number of processes that worked on this run.
        wall_seconds: Seconds from start to end, of all processes whose work is in
            this result.
        fingerprint: A text for each split that identifies its rows. Empty if
            unknown, as in results of earlier versions.
    """

    experiment: Experiment
    status: str = "running"
    reason: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    steps: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    test: dict[str, float] = field(default_factory=dict)
    metric: Metric = field(default_factory=Metric)
    compile_seconds: float | None = None
    memory: dict[str, int | None] = field(default_factory=dict)
    starts: int = 0
    wall_seconds: float = 0.0
    fingerprint: Fingerprint = field(default_factory=dict)
    further_tests: dict[str, dict[str, float]] = field(default_factory=dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON atomically."""
        write_json(path, {"format": FORMAT, **self.to_json()})

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Result":
        """Reads a file of `save()`.

        Raises:
            ValueError: If the file is not a result.
        """
        values = read_json(path)
        found = values.pop("format", None)
        if found == EARLIER_FORMAT:
            values = _from_earlier(values)
        elif found != FORMAT:
            raise ValueError(
                f"Not a result of this version of keras_twa (format {FORMAT}). "
                f"Received: {path}"
            )
        return cls.from_json(values, path)

    @classmethod
    def from_json(cls, values: dict[str, Any], source: Any = "a dictionary") -> Any:
        """Returns the result with these plain values."""
        try:
            experiment = Experiment.from_json(values["experiment"])
            metric = Metric.from_json(values.get("metric"))
            result = cls(**{**values, "experiment": experiment, "metric": metric})
            needed = (*POINT, f"validation_{metric.name}")
            for point in result.curve:
                for name in needed:
                    point[name]
            result.fingerprint = dict(result.fingerprint)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"Not a complete result: {error} Received: {source}"
            ) from None
        if result.status not in STATUSES:
            raise ValueError(
                f"`status` must be one of {STATUSES}. "
                f"Received: status={result.status!r} in {source}"
            )
        return result

    @property
    def score(self) -> float | None:
        """The score on the test rows, `None` before the test."""
        return self.test.get(self.metric.name)

    def validation(self, point: Mapping[str, float]) -> float:
        """Returns the validation score of a point of the curve."""
        return point[f"validation_{self.metric.name}"]

    @property
    def best_validation(self) -> float | None:
        """Best validation score so far, `None` before the first epoch ends."""
        return self.metric.best(map(self.validation, self.curve))

    def solved(self, score: float | None) -> bool:
        """Whether the last two epochs reached a validation score, if there is one."""
        last = [self.validation(point) for point in self.curve[-2:]]
        return (
            score is not None
            and len(last) == 2
            and not any(self.metric.better(score, each) for each in last)
        )

    @property
    def improving(self) -> bool:
        """Whether training ended before a plateau.

        So it did if the best validation score of the last fifth of the epochs is better
        than all before: by more than a point of a hundred where scores are shares, else
        by more than a hundredth of their range.
        """
        scores = [self.validation(point) for point in self.curve]
        late = max(1, len(scores) // 5)
        before, after = (self.metric.best(x) for x in (scores[:-late], scores[-late:]))
        if before is None or after is None:
            return False
        least = 0.01 * (1.0 if self.metric.percent else max(scores) - min(scores))
        return self.metric.better(after, before) and abs(after - before) > least

    @property
    def best_loss(self) -> float:
        """Validation loss of the best epoch, infinite before the first epoch ends."""
        if self.best_epoch is None:
            return math.inf
        return self.curve[self.best_epoch - 1]["validation_loss"]

    @property
    def model_memory(self) -> int | None:
        """Peak memory in bytes, of the device, or the growth of the process."""
        device = self.memory.get("device_peak")
        peak, before = self.memory.get("peak"), self.memory.get("before_model")
        if device is not None or peak is None or before is None:
            return device
        return peak - before

    @property
    def seconds_per_epoch(self) -> float | None:
        """Median training time of an epoch, without compilation."""
        seconds = sorted(point["seconds"] for point in self.curve)
        if not seconds:
            return None
        middle = len(seconds) // 2
        return (seconds[middle] + seconds[-middle - 1]) / 2

    def reached(self, score: float) -> tuple[int, float] | None:
        """Returns the epoch and the seconds at which validation reached a score.

        `None` if it never did.
        """
        for point in self.curve:
            if not self.metric.better(score, self.validation(point)):
                return int(point["epoch"]), point["total_seconds"]
        return None


def _from_earlier(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of a result of an earlier version as those of this one."""
    values = dict(values)
    test = {name: values.pop(f"test_{name}", None) for name in ("loss", "accuracy")}
    known = {name: value for name, value in test.items() if value is not None}
    return {**values, "test": known}


def load_results(
    directory: str | os.PathLike[str], fingerprint: Fingerprint | None = None
) -> list[Result]:
    """Returns the results in the folders of a comparison, in order of name.

    Args:
        directory: The folder of the comparison.
        fingerprint: The fingerprint of its rows, if known.

    Raises:
        ValueError: If a file is not a result, is in the folder of another run, or the
            rows of two runs differ.
    """
    results = []
    for path in sorted(Path(directory).glob(f"*/{FILE_NAME}")):
        result = Result.load(path)
        if result.experiment.name != path.parent.name:
            raise ValueError(
                f"The result of {result.experiment.name} is in the folder of another "
                f"run. Received: {path}"
            )
        check_same_rows(result.fingerprint, fingerprint, path)
        # Otherwise compare with the first known fingerprint.
        fingerprint = fingerprint or result.fingerprint
        results.append(result)
    return results


def write_json(path: str | os.PathLike[str], values: Any) -> None:
    """Writes JSON; a kill leaves the old file."""
    text = json.dumps(finite(values), indent=1)
    with files.whole(path, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        ValueError: If the file cannot be read or is not a JSON object.
    """
    try:
        values = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{error.strerror}. Received: {path}") from None
    except ValueError as error:
        raise ValueError(f"Not a JSON file ({error}). Received: {path}") from None
    if not isinstance(values, dict):
        raise ValueError(f"Not a JSON object. Received: {path}")
    return values


def check_types(values: Any, kinds: Mapping[str, Any], source: Any) -> None:
    """Checks values from a file.

    Args:
        values: The values.
        kinds: The type, or the types, of each required value.
        source: The source of the values.

    Raises:
        ValueError: If `values` is not a dictionary, or a value is missing or of
            another type.
    """
    if not isinstance(values, dict):
        raise ValueError(f"Not a JSON object. Received: {values!r} in {source}")
    for name, kind in kinds.items():
        if not isinstance(values.get(name), kind):
            raise ValueError(
                f"`{name}` is missing or of another type. "
                f"Received: {name}={values.get(name)!r} in {source}"
            )


def finite(values: Any) -> Any:
    """Returns plain values for JSON, with null for NaN and infinity."""
    if isinstance(values, dict):
        return {key: finite(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [finite(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % t interval.

    Args:
        mean: The mean.
        half_width: Half the width of the interval, `None` with one seed.
        values: The values themselves.
    """

    mean: float
    half_width: float | None
    values: tuple[float, ...]


def estimate(values: Sequence[float]) -> Estimate | None:
    """Returns the mean and its 95 % t interval, `None` without values.

    The half width is t(0.975, n - 1) · s / √n.
    """
    count = len(values)
    if count == 0:
        return None
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, None, tuple(values))
    # Slow to import, and a run does not need it.
    from scipy import stats

    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    quantile = float(stats.t.ppf(0.975, count - 1))
    return Estimate(mean, quantile * math.sqrt(variance / count), tuple(values))


def relative_improvement(
    scores: dict[int, float], baseline: dict[int, float]
) -> Estimate | None:
    """Returns the mean of (a - b) / b over the seeds that both have.

    Args:
        scores: Test score by seed.
        baseline: Test score of the conventional mechanism by seed.

    Returns:
        An `Estimate`, or `None` without a common seed.
    """
    return estimate(
        [
            (scores[seed] - baseline[seed]) / baseline[seed]
            for seed in sorted(scores)
            if baseline.get(seed)
        ]
    )
