"""The trained models of a comparison."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_twa.experiments.results import Result
from keras_twa.experiments.results import load_results
from keras_twa.experiments.run import load_model
from keras_twa.tasks import Rows
from keras_twa.tasks import load


def trained_models(
    directory: str | os.PathLike[str],
) -> Iterator[tuple[Result, Rows, Any]]:
    """Yields the result, the rows and the model of each completed run.

    A model has the weights that were tested.

    Args:
        directory: The folder of a comparison.

    Raises:
        ValueError: If the folder has a foreign result, or the rows have changed.
    """
    completed = [r for r in load_results(directory) if r.status == "completed"]
    if not completed:
        return
    first = completed[0].experiment
    rows = load(first.task, first.data, first.settings)
    load_results(directory, rows.fingerprint)
    for result in completed:
        experiment = result.experiment
        folder = Path(directory) / experiment.name
        yield result, rows, load_model(experiment, rows, folder)
