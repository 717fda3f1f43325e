"""`keras-twa compare`: trains mechanisms on a task and reports."""

import argparse
from pathlib import Path
from typing import Any

from keras_twa import tasks
from keras_twa.cli import common
from keras_twa.cli import own_model
from keras_twa.cli import runs
from keras_twa.cli.subject import Subject

EXAMPLES = f"""\
examples:
  keras-twa compare --task listops
  keras-twa compare --task listops --attention all --seeds 0,1,2
  keras-twa compare --task imdb --data aclImdb_v1.tar.gz --preset mvp --time-limit 3600
  keras-twa compare --data readings.csv --series id --time timestamp --target label
  keras-twa compare --data pairs.npz
  keras-twa compare --model model.keras --data pairs.npz --epochs 10 --seeds 0,1,2

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
    own_model.add_options(parser)
    common.add_mechanisms(parser, common.COMPARED_TEXT)
    runs.add_seeds(parser)
    runs.add_rates(parser, "--learning-rates", default=())
    runs.add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the comparison and writes its report."""
    backend, mechanisms = common.load_mechanisms(options.modules)
    console = common.console(options)
    if options.model is not None:
        output, comparison = own_model.prepared(options, backend)
    else:
        output, comparison = _of_task(options, backend, mechanisms)
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


def _of_task(
    options: argparse.Namespace, backend: str, mechanisms: dict[str, Any]
) -> tuple[Path, runs.Runs]:
    """The folder and the runs of a task, with the models of the task."""
    own_model.check_unused(options)
    subject = Subject.of(options)
    task = tasks.get(subject.task)
    attentions = common.chosen(options.attention, mechanisms, task.models, task.check)
    output = output_of(options, subject, backend)
    comparison = runs.Runs.prepare(
        options,
        subject,
        backend,
        attentions,
        options.seeds,
        output,
        options.learning_rates,
    )
    return output, comparison


def output_of(options: argparse.Namespace, subject: Subject, backend: str) -> Path:
    """Returns the folder of the results: `--output`, or its default."""
    default = f"runs/{subject.label}-{options.preset}-{backend}"
    return options.output or common.folder(default)
