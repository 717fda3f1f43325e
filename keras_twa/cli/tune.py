"""`keras-twa tune`: searches for good settings of mechanisms on a task."""

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

from keras_twa.cli import common
from keras_twa.cli.subject import Subject

EXAMPLES = """\
examples:
  keras-twa tune --task listops
  keras-twa tune --task listops --attention dot_product,linear --algorithm bayesian
  keras-twa tune --task listops --max-trials 30 --directory search --time-limit 3600

It needs the extra `tuner`. The search trains the default first, then one configuration
after another, all with about as many parameters. It chooses by validation rows. The
default and the best configuration are tested when the search is complete, or its time
is up. To continue a search, run the same command again.
"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = common.add_command(
        commands, "tune", "search for good settings of mechanisms on a task", EXAMPLES
    )
    parser.set_defaults(run=run)
    common.add_task(parser)
    common.add_mechanisms(parser, common.COMPARED_TEXT)
    parser.add_argument(
        "--algorithm",
        default="random",
        help="random, bayesian or hyperband (default: random)",
    )
    parser.add_argument(
        "--max-trials",
        type=int,
        default=10,
        metavar="N",
        help="largest number of configurations to try (default: 10)",
    )
    parser.add_argument(
        "--directory",
        type=common.folder,
        metavar="DIR",
        help="folder of the search (default: runs/tune-TASK-PRESET-ALGORITHM-BACKEND)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the choices, the weights and the batches (default: 0)",
    )


def run(options: argparse.Namespace) -> int:
    """Searches, and prints the trials beside the default."""
    common.check_time_limit(options.time_limit)
    backend, mechanisms = common.load_mechanisms(options.modules)
    subject = Subject.of(options)
    from keras_twa.experiments.config import BASELINE
    from keras_twa.experiments.config import Experiment
    from keras_twa.experiments.terminal import TuningView
    from keras_twa.tasks import get
    from keras_twa.tuner import search
    from keras_twa.tuner import tuning_table

    task = get(subject.task)
    attentions = common.chosen(options.attention, mechanisms, check=task.check)
    directory = options.directory or common.folder(
        f"runs/tune-{subject.label}-{options.preset}-{options.algorithm}-{backend}"
    )
    changes = {} if options.epochs is None else {"epochs": options.epochs}
    experiment = Experiment.from_preset(
        subject.task,
        options.preset,
        BASELINE,
        options.seed,
        options.data,
        **changes,
        **subject.changes,
    )
    console = common.console(options)
    try:
        with (
            warnings.catch_warnings(),
            TuningView(console, options.max_trials, task.metric) as view,
        ):
            warnings.showwarning = _print_warning
            result = search(
                experiment,
                attentions=attentions,
                algorithm=options.algorithm,
                max_trials=options.max_trials,
                directory=directory,
                time_limit=options.time_limit,
                view=view,
            )
    except KeyboardInterrupt:
        _print_so_far(console, directory)
        common.print_how_to_go_on(console, directory)
        raise
    console.print(tuning_table(result, console.width))
    if not result.complete:
        console.print("The search is not complete; the same command continues it.")
    console.print(f"Search: {result.directory}", soft_wrap=True)
    if options.json:
        common.print_json(result.to_json())
    tried = [*result.trials, *filter(None, [result.default])]
    return int(any(one["status"] == "failed" for one in tried))


def _print_warning(message: Any, *_: Any, **__: Any) -> None:
    print(f"keras-twa: warning: {message}", file=sys.stderr)


def _print_so_far(console: Any, directory: Path) -> None:
    """Prints the trials that have ended, if there are any."""
    from keras_twa.experiments.results import FILE_NAME

    if (directory / FILE_NAME).exists():
        from keras_twa.tuner import TuningResult
        from keras_twa.tuner import tuning_table

        console.print(tuning_table(TuningResult.load(directory), console.width))
