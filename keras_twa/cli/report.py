"""`keras-twa report`: rewrites the report of a folder."""

import argparse
from typing import Any

from keras_twa.cli import common

EXAMPLES = """\
examples:
  keras-twa report runs/listops-quick-jax
  keras-twa report runs/listops-quick-jax --json

It only reads results, and never trains.
"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = common.add_command(
        commands, "report", "rewrite the report of a comparison", EXAMPLES
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "directory",
        type=common.folder,
        metavar="DIR",
        help="the --output folder of `compare` or `train`",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the report."""
    from keras_twa.experiments.report import write_report
    from keras_twa.experiments.summary import Summary
    from keras_twa.experiments.text import error_text

    try:
        report = write_report(options.directory)
    except (ValueError, OSError):
        raise
    except Exception as error:  # drawing may raise anything
        common.print_error(f"The report failed: {error_text(error)}")
        return 1
    common.console(options).print(f"Report: {report}", soft_wrap=True)
    if options.json:
        summary = Summary.load(options.directory)
        common.print_json(
            {
                "facts": summary.facts,
                "results": [result.to_json() for result in summary.runs],
                "report": str(report),
            }
        )
    return 0
