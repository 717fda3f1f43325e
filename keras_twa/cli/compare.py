"""`keras-twa compare`: trains mechanisms on a task and reports."""

import argparse
from pathlib import Path
from typing import Any

from keras_twa import tasks
from keras_twa.cli import common
from keras_twa.cli import runs

EXAMPLES = f"""\
examples:
  keras-twa compare --task listops
  keras-twa compare --task listops --attention all --seeds 0,1,2
  keras-twa compare --task imdb --data aclImdb_v1.tar.gz --preset mvp --time-limit 3600

{runs.NOTES}"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = common.add_command(
        commands,
        "compare",
        "train mechanisms on a task, one process per run, and report",
        EXAMPLES,
    )
    parser.set_defaults(run=run)
    runs.add_options(parser, "runs/TASK-PRESET-BACKEND")
    common.add_mechanisms(parser, common.COMPARED_TEXT)
    parser.add_argument(
        "--seeds",
        type=_integers,
        default=[0],
        metavar="0,1,2",
        help="one run of each mechanism per seed (default: 0)",
    )

    parser.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        help="runs at once, each with a GPU or an equal share of the cores of its own "
        "(default: one per GPU, or else one per core)",
    )


def run(options: argparse.Namespace) -> int:
    """Runs the comparison and writes its report."""
    backend, mechanisms = common.load_mechanisms(options.modules)
    task = tasks.get(options.task)
    attentions = common.chosen(options.attention, mechanisms, task.models, task.check)
    output = output_of(options)
    console = common.console(options)
    comparison = runs.Runs.prepare(options, backend, attentions, options.seeds, output)
    try:
        results = comparison.run(console, options.time_limit, options.workers)
    except KeyboardInterrupt:
        runs.written_report(output)
        raise
    report = runs.written_report(output)
    if report is not None:
        console.print(f"Report: {report}", soft_wrap=True)
    if options.json:
        common.print_json(
            {
                "facts": comparison.facts,
                "results": [result.to_json() for result in results],
                "left": comparison.left(results),
                "report": None if report is None else str(report),
            }
        )
    return runs.exit_code(results) or int(report is None)


def output_of(options: argparse.Namespace) -> Path:
    """Returns the folder of the results: `--output`, or its default."""
    from keras_twa.ops import backend

    default = f"runs/{options.task}-{options.preset}-{backend.NAME}"
    return options.output or common.folder(default)


def _workers(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a positive integer. Received: {text!r}")


def _integers(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected integers such as 0,1,2. Received: {text!r}"
        ) from None
