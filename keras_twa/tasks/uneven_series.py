"""Classes of generated series, which depend on time in different ways."""

from dataclasses import dataclass

import numpy as np

from keras_twa.datasets import uneven_series
from keras_twa.tasks import series
from keras_twa.tasks.series import series_classification
from keras_twa.tasks.series_rows import SeriesRows
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Progress
from keras_twa.tasks.token_classifier import MAJORITY
from keras_twa.tasks.token_classifier import majority

CLASSES = {
    "swing": [f"period {period:g}" for period in uneven_series.PERIODS],
    "recall": [f"value {value}" for value in range(uneven_series.VALUES)],
    "decay": ["negative", "positive"],
    "order": ["first mark first", "second mark first"],
}
SOLVER = "solver"
EXPLANATIONS = {
    **MAJORITY,
    SOLVER: "the formula that made the classes, with the times, and without training",
}
# Of rows for training, validation and the test, where the settings say none.
SIZES = (1_024, 256, 1_024)


@dataclass(frozen=True)
class UnevenRows(SeriesRows):
    """The splits of a kind of series.

    Args:
        solved: The share of test series whose class a solver finds.
    """

    solved: float = 0.0


def load(data: str, settings: Settings, progress: Progress | None = None) -> UnevenRows:
    """Returns the rows.

    Args:
        data: A kind of `keras_twa.datasets.uneven_series`; "auto" is "swing".
        settings: The `Settings`, of which `max_length` is the number of observations.
        progress: Not called: it takes no time.

    Raises:
        ValueError: If there is no such kind.
    """
    kind = "swing" if data == "auto" else data
    sizes = (settings.num_train, settings.num_validation, settings.num_test)
    train, validation, test = (
        size or default for size, default in zip(sizes, SIZES, strict=True)
    )
    found = uneven_series.load_data(
        kind, train, validation, test, settings.max_length, settings.data_seed
    )
    splits = {
        name: (list(each.values), list(each.times), each.labels)
        for name, each in zip(("train", "validation", "test"), found, strict=True)
    }
    tested = found[-1]
    return UnevenRows.of(
        splits,
        CLASSES[kind],
        source=f"generated, {kind}",
        data=kind,
        solved=float(np.mean(uneven_series.solve(kind, tested) == tested.labels)),
    )


def baselines(rows: UnevenRows) -> dict[str, float]:
    """Returns test accuracies without attention."""
    return {**majority(rows), SOLVER: rows.solved}


UNEVEN_SERIES = series_classification(
    name="uneven_series",
    title="series at uneven times",
    load=load,
    baselines=baselines,
    explanations=EXPLANATIONS,
    caveats=(
        "The series are generated. Each kind needs one use of time: no ranking here "
        "says how mechanisms rank on data that need another one.",
    ),
    presets={
        "quick": Settings(
            **{
                **series.QUICK,
                "max_length": 48,
                "epochs": 12,
                "patience": 12,
                "warmup_steps": 20,
            }
        )
    },
    used=(*series.USED, "max_length", "num_train", "num_validation", "num_test"),
)
