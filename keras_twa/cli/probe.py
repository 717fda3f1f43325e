"""`keras-twa probe`: measures what mechanisms can do, on small generated tasks."""

import argparse
from pathlib import Path
from typing import Any

from keras_twa.cli import common
from keras_twa.cli import runs
from keras_twa.tasks import probes as all_probes
from keras_twa.tasks.probes import recipes

EXAMPLES = """\
examples:
  keras-twa probe
  keras-twa probe --attention all --seeds 0,1,2 --time-limit 3600
  keras-twa probe --probes parity,permutations --attention "gated_delta, [local, rwkv]"
  keras-twa probe --positions none --output runs/probes-none

A score is from 0 (no better than the best guess) to 1 (perfect). A mechanism that
cannot take a probe is skipped there, and the reason is printed. To continue, run the
same command again: complete runs are kept. More probes, mechanisms and seeds may be
added. The preset `quick` takes minutes on two cores, and `paper` needs a GPU.
"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = common.add_command(
        commands, "probe", "measure what mechanisms can do, on small tasks", EXAMPLES
    )
    parser.set_defaults(run=run)
    common.add_mechanisms(parser, common.COMPARED_TEXT)
    parser.add_argument(
        "--probes",
        type=common.names,
        metavar="A,B,C",
        help=f"some of {', '.join(all_probes.names())} (default: all)",
    )
    parser.add_argument(
        "--preset",
        default="quick",
        help=f"sizes and training: {', '.join(recipes.RATES)} (default: quick)",
    )
    runs.add_seeds(parser)
    runs.add_rates(parser, "--rates", default=None)
    parser.add_argument(
        "--positions",
        metavar="KIND",
        help="positions of mechanisms with scores of pairs: rotary, learned, "
        "sinusoidal or none (default: the preset's, rotary)",
    )
    parser.add_argument(
        "--epochs", type=int, help="validations of a run (default: the preset's number)"
    )
    common.add_time_limit(parser)
    runs.add_workers(parser)
    parser.add_argument(
        "--output",
        type=common.folder,
        metavar="DIR",
        help="folder for the results (default: runs/probes-PRESET-BACKEND)",
    )


def run(options: argparse.Namespace) -> int:
    """Runs what is left, prints the matrix, and writes its report."""
    common.check_time_limit(options.time_limit)
    common.load_mechanisms(options.modules)
    from keras_twa.experiments.together import run_together
    from keras_twa.probing import CapabilityMatrix
    from keras_twa.probing.plan import Plan
    from keras_twa.probing.view import ProbesView

    plan = Plan.of(
        options.attention,
        options.probes,
        options.seeds,
        options.preset,
        options.rates,
        options.positions,
        options.epochs,
        options.output,
    )
    comparisons = plan.prepare()
    console = common.console(options)
    count = sum(len(each.planned) for each in comparisons.values())
    console.print(
        f"{len(plan.probes)} probes, {len(plan.attentions)} mechanisms, preset "
        f"{plan.preset}, {plan.facts['backend']} backend, at most {count} runs"
    )
    console.print(f"Results: {plan.output}", soft_wrap=True)
    try:
        with ProbesView(console, count) as view:
            run_together(
                [*comparisons.values()], view, options.time_limit, options.workers
            )
    except KeyboardInterrupt:
        _print_matrix(console, CapabilityMatrix(plan.output))
        runs.written_report(plan.output, _write_report)
        common.print_how_to_go_on(console, plan.output)
        raise
    matrix = CapabilityMatrix(plan.output)
    _print_matrix(console, matrix)
    report = runs.written_report(plan.output, _write_report)
    if report is not None:
        console.print(f"Report: {report}", soft_wrap=True)
    if options.json:
        found = matrix.to_json()
        common.print_json({**found, "report": None if report is None else str(report)})
    return runs.exit_code(matrix.results) or int(report is None)


def _print_matrix(console: Any, matrix: Any) -> None:
    from keras_twa.probing.page import printed

    for part in printed(matrix, console.width):
        console.print(part)


def _write_report(folder: Path) -> Path:
    from keras_twa.probing import CapabilityMatrix

    return CapabilityMatrix(folder).report()
