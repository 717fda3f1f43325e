"""`keras-twa report`: rewrites the report of a folder."""

import argparse
from pathlib import Path
from typing import Any

from keras_twa.cli import common

EXAMPLES = """\
examples:
  keras-twa report runs/listops-quick-jax
  keras-twa report runs/listops-quick-jax --json
  keras-twa report runs/probes-quick-jax

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
        help="the --output folder of `compare`, `train` or `probe`",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the report."""
    from keras_twa.experiments.text import error_text

    try:
        report, values = _written(options.directory)
    except (ValueError, OSError):
        raise
    except Exception as error:  # drawing may raise anything
        common.print_error(f"The report failed: {error_text(error)}")
        return 1
    common.console(options).print(f"Report: {report}", soft_wrap=True)
    if options.json:
        common.print_json({**values, "report": str(report)})
    return 0


def _written(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Writes the report, and returns its path, and its contents as plain values."""
    from keras_twa.experiments.report import write_report
    from keras_twa.experiments.summary import Summary
    from keras_twa.probing import CapabilityMatrix
    from keras_twa.probing.facts import has_matrix

    if has_matrix(folder):
        matrix = CapabilityMatrix(folder)
        return matrix.report(), matrix.to_json()
    report = write_report(folder)
    summary = Summary.load(folder)
    return report, {
        "facts": summary.facts,
        "results": [result.to_json() for result in summary.runs],
    }
