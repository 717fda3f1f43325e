"""The result of a search, saved as JSON after each trial."""

import dataclasses
import os
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from types import NoneType
from typing import Any

from keras_twa.experiments.results import FILE_NAME
from keras_twa.experiments.results import check_types
from keras_twa.experiments.results import read_json
from keras_twa.experiments.results import write_json
from keras_twa.tasks import Metric
from keras_twa.tasks.fingerprint import Fingerprint

FORMAT = 1
NUMBER = (int, float)
# The contents of the file, and of each configuration in it.
KINDS = {
    "trials": list,
    "best": (dict, NoneType),
    "default": (dict, NoneType),
    "baselines": dict,
    "environment": dict,
    "complete": bool,
    "fingerprint": dict,
}
KINDS_OF_ONE = {
    "id": str,
    "status": str,
    "hyperparameters": dict,
    "score": (*NUMBER, NoneType),
    "parameters": (int, NoneType),
    "seconds": (*NUMBER, NoneType),
}


@dataclass
class TuningResult:
    """The result of a search, complete or not.

    Each configuration is a dictionary: `id`, `status` ("completed" or "failed"),
    `hyperparameters` (`attention`, with its options, `num_layers`, `embedding_dim`,
    `intermediate_dim`, `dropout`, `learning_rate`, `batch_size`), `score` (the best on
    the validation rows), `parameters` and `seconds` (of its training). If it failed,
    the last three are `None` and there is a `message`.

    Args:
        directory: Folder of the search.
        trials: The tried configurations, in the order in which they ended.
        best: The one with the best score, with its score on the test rows under
            `test_name`, or `None`.
        default: The unchanged experiment, in the same form, or `None`.
        baselines: Test scores of baselines without attention, by name.
        environment: Versions, backend and hardware.
        complete: Whether the search is complete. Otherwise it can continue.
        fingerprint: A text for each split that identifies its rows. Empty if
            unknown, as in searches of earlier versions.
        metric: The `Metric` of the scores.
    """

    directory: Path
    trials: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    default: dict[str, Any] | None = None
    baselines: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    complete: bool = False
    fingerprint: Fingerprint = field(default_factory=dict)
    metric: Metric = field(default_factory=Metric)

    @property
    def test_name(self) -> str:
        """The name of the score on the test rows, such as `test_accuracy`."""
        return f"test_{self.metric.name}"

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**dataclasses.asdict(self), "directory": str(self.directory)}

    def save(self) -> None:
        """Writes `result.json` atomically."""
        values = self.to_json()
        # A folder may be moved.
        del values["directory"]
        write_json(self.directory / FILE_NAME, {"format": FORMAT, **values})

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> "TuningResult":
        """Reads a file of `save()`.

        Raises:
            ValueError: If the file is missing or not a result.
        """
        path = Path(directory) / FILE_NAME
        values = read_json(path)
        if values.pop("format", None) != FORMAT:
            raise ValueError(
                "Not the result of a search with this version of keras_twa. "
                f"Received: {path}"
            )
        # Earlier versions saved none.
        values.setdefault("fingerprint", {})
        check_types(values, KINDS, path)
        baselines = values["baselines"]
        check_types(baselines, dict.fromkeys(baselines, NUMBER), path)
        for one in (*values["trials"], values["best"], values["default"]):
            if one is not None:
                check_types(one, KINDS_OF_ONE, path)
        metric = Metric.from_json(values.get("metric"))
        known = {name: values[name] for name in KINDS}
        return cls(Path(directory), **known, metric=metric)
