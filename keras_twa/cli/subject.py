"""What a command trains on: a task by its name, or a file of the user."""

import argparse
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from keras_twa import tasks

# The options that become settings of a task.
COLUMNS = ("series", "time", "target", "features", "time_unit")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that describe a file of the user."""
    group = parser.add_argument_group(
        "a file of yours (--data FILE without --task)",
        "A table has one row for each observation. An .npz file has the arrays x and\n"
        "y, and may have times, and mask or lengths. 70 % of the series are for\n"
        "training, 15 % for validation and 15 % for the test, with each class in each.",
    )
    group.add_argument(
        "--series", metavar="COLUMN", help="column with the series of each row"
    )
    group.add_argument(
        "--time",
        metavar="COLUMN",
        help="column of time stamps, numbers or dates (default: 0, 1, 2, … by row)",
    )
    group.add_argument(
        "--target",
        metavar="COLUMN",
        help="column to predict, the same in all rows of a series",
    )
    group.add_argument(
        "--features",
        type=_columns,
        metavar="A,B,C",
        help="columns of features (default: all others that contain numbers)",
    )
    group.add_argument(
        "--time-unit",
        metavar="UNIT",
        help="what is 1 for the mechanisms: a positive number in the unit of the time "
        "stamps, or for dates a duration such as 1h, 15min or 1D. It changes the "
        "ranking (default: the median gap between time steps)",
    )
    group.add_argument(
        "--kind",
        metavar="KIND",
        help="classification or regression (default: text, and whole numbers with at "
        "most 20 distinct values, are classes)",
    )


@dataclass(frozen=True)
class Subject:
    """What a command trains on.

    Args:
        task: Name of the task.
        label: What stands for it in names of folders.
        changes: Changes to the settings of its preset.
    """

    task: str
    label: str
    changes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Subject":
        """Returns the subject that the options of a command name.

        Raises:
            ValueError: If they name none, or contradict each other, or if the file is
                missing or malformed.
        """
        values = {name: getattr(options, name) for name in COLUMNS}
        given = {name: value for name, value in values.items() if value is not None}
        if options.task is None:
            return cls._of_file(options.data, given, options.kind)
        if options.kind is not None:
            raise ValueError(
                "`--kind` chooses the task of a file, and --task names one. "
                f"Received: kind={options.kind!r}, task={options.task!r}"
            )
        known = tasks.get(options.task).options
        for name, value in given.items():
            if name not in known:
                raise ValueError(
                    f"`--{name.replace('_', '-')}` describes a file, and --task "
                    f"{options.task} takes none. Received: {name}={value!r}"
                )
        return cls(options.task, options.task, given)

    @classmethod
    def _of_file(cls, data: str, given: dict[str, Any], kind: str | None) -> "Subject":
        # It needs NumPy, which takes longer to import than `keras-twa --help` should.
        from keras_twa.tasks import own_files

        if not own_files.is_own_file(data):
            raise ValueError(
                "Name a task by --task, or a file of yours by --data, which ends in "
                f"{', '.join(own_files.ENDS)}. Received: task=None, data={data!r}"
            )
        return cls(
            own_files.task_of(data, given, kind), own_files.label_of(data), given
        )


def _columns(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
