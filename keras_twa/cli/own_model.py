"""`keras-twa compare --model`: the comparison of a model in a file of the user."""

import argparse
from pathlib import Path
from typing import Any

from keras_twa import tasks
from keras_twa.cli import common
from keras_twa.cli import runs
from keras_twa.cli.subject import Subject
from keras_twa.experiments.config import COMPARED
from keras_twa.experiments.config import preset_settings

OPTIONS = ("batch_size", "primary", "initial_weights")
EPOCHS = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a model in a file."""
    group = parser.add_argument_group(
        "a model of yours (--model FILE with --data FILE)",
        "The model must be compiled. It is the baseline, and its attention is\n"
        "exchanged. An .npz file has the arrays x and y, for several inputs or\n"
        "outputs x/NAME and y/NAME, and perhaps x_validation, y_validation, x_test\n"
        "and y_test.",
    )
    group.add_argument("--model", metavar="FILE", help="a .keras file")
    group.add_argument(
        "--batch-size", type=int, metavar="N", help="rows per step (default: 32)"
    )
    group.add_argument(
        "--primary",
        metavar="NAME",
        help="the metric to compare, or loss (default: the first metric of the model)",
    )
    group.add_argument(
        "--initial-weights",
        choices=("given", "new"),
        help="start from the weights in the file, or from new ones (default: given)",
    )


def check_unused(options: argparse.Namespace) -> None:
    """Raises `ValueError` for options that have no effect without a model."""
    for name in OPTIONS:
        value = getattr(options, name)
        if value is not None:
            raise ValueError(
                f"`--{name.replace('_', '-')}` has no effect without --model. "
                f"Received: {name}={value!r}"
            )


def prepared(options: argparse.Namespace, backend: str) -> tuple[Path, runs.Runs]:
    """Returns the folder and the runs of a model in a file, after all checks.

    Args:
        options: The options of the command.
        backend: Name of the Keras backend.

    Raises:
        ValueError: If the model, its rows or an option is not as it must be.
    """
    from keras_twa.comparing.model_files import load_model
    from keras_twa.comparing.prepare import prepare

    common.check_time_limit(options.time_limit)
    for name, wanted in (("task", None), ("preset", "quick"), ("max_length", None)):
        value = getattr(options, name)
        if value != wanted:
            raise ValueError(
                f"`--{name.replace('_', '-')}` has no effect with --model. "
                f"Received: {name}={value!r}"
            )
    model = load_model(options.model)
    output = options.output or common.folder(
        f"runs/{Path(options.model).stem}-{backend}"
    )
    found = prepare(
        model,
        options.attention or [*COMPARED],
        _data(options, model),
        training={
            "epochs": EPOCHS if options.epochs is None else options.epochs,
            "batch_size": options.batch_size,
            "patience": None,
        },
        primary=options.primary,
        higher_is_better=None,
        where=None,
        initial_weights=options.initial_weights or "given",
        output=output,
    )
    comparison = found.comparison(options.seeds, options.learning_rates)
    first = comparison.experiments[0]
    rows = tasks.load(first.task, first.data, first.settings)
    return output, runs.Runs(comparison, rows, comparison.prepare(rows))


def _data(options: argparse.Namespace, model: Any) -> Any:
    """The rows in the file, as the model takes them."""
    from keras_twa.comparing.model_files import of_series
    from keras_twa.comparing.model_files import read_arrays

    if options.data.endswith(".npz"):
        return read_arrays(options.data)
    subject = Subject.of(options)
    settings = preset_settings(subject.task, options.preset, **subject.changes)
    return of_series(tasks.load(subject.task, options.data, settings), model)
