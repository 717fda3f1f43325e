"""A comparison whose models then show what they can do, for examples."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from keras_twa.cli import common
from keras_twa.cli import compare
from keras_twa.cli import parser
from keras_twa.cli.subject import Subject


def compare_and_describe(
    arguments: Sequence[str], what: str, describe: Callable[[Any, Any], Iterable[str]]
) -> int:
    """Runs `keras-twa compare`, and prints lines about each trained model.

    Args:
        arguments: The arguments of the command, after `compare`.
        what: What the lines are, such as "Written by".
        describe: Function from a model and the rows of the task to the lines.

    Returns:
        The exit code.
    """
    command = ["compare", *arguments]
    code = parser.main(command)
    if code:
        return code
    from keras_twa.experiments.trained import trained_models
    from keras_twa.ops import backend

    options = parser.make_parser().parse_args(command)
    console = common.console(options)
    folder = compare.output_of(options, Subject.of(options), backend.NAME)
    for result, rows, model in trained_models(folder):
        console.print(f"\n{what} {result.experiment.name}:")
        for line in describe(model, rows):
            console.print(line, soft_wrap=True)
    return code
