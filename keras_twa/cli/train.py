"""`keras-twa train`: trains one mechanism on a task and saves the model."""

import argparse
from pathlib import Path
from typing import Any

from keras_twa import tasks
from keras_twa.cli import common
from keras_twa.cli import runs
from keras_twa.cli.subject import Subject

MODEL_FILE = "model.keras"
EXAMPLES = f"""\
examples:
  keras-twa train --task listops --attention gravitational
  keras-twa train --task imdb --preset small --epochs 2 --output reviews
  python -c "import keras, keras_twa; \\
      keras.saving.load_model('reviews/{MODEL_FILE}')"

The model of the epoch with the best validation accuracy is saved as
{MODEL_FILE} in the folder --output.

{runs.NOTES}"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = common.add_command(
        commands, "train", "train one mechanism on a task and save the model", EXAMPLES
    )
    parser.set_defaults(run=run)
    runs.add_options(parser, "runs/TASK-PRESET-ATTENTION-seedSEED-BACKEND")
    parser.add_argument(
        "--attention",
        default="dot_product",
        metavar="A",
        help="a mechanism, as `keras-twa list` names it (default: dot_product)",
    )
    common.add_import(parser)
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of weights, dropout and the order of batches (default: 0)",
    )


def run(options: argparse.Namespace) -> int:
    """Trains, saves the model, and prints the result beside the baselines."""
    from keras_twa.experiments.config import run_name
    from keras_twa.experiments.run import load_model

    backend, mechanisms = common.load_mechanisms(options.modules)
    subject = Subject.of(options)
    task = tasks.get(subject.task)
    attention = common.checked(options.attention, mechanisms, task.models)
    task.check(attention)
    name = run_name(attention, options.seed)
    output = options.output or common.folder(
        f"runs/{subject.label}-{options.preset}-{name}-{backend}"
    )
    _check_no_other_run(output, name)
    console = common.console(options)
    training = runs.Runs.prepare(
        options, subject, backend, [attention], [options.seed], output
    )
    results = training.run(console, options.time_limit)
    path = output / MODEL_FILE
    done = [result for result in results if result.status == "completed"]
    for result in done:
        load_model(result.experiment, training.data, output / name).save(path)
        console.print(f"Model: {path}", soft_wrap=True)
    if options.json:
        common.print_json(
            {
                "facts": training.facts,
                "result": results[0].to_json() if results else None,
                "model": str(path) if done else None,
            }
        )
    return runs.exit_code(results)


def _check_no_other_run(output: Path, name: str) -> None:
    """Raises `ValueError` for a folder with another run."""
    from keras_twa.experiments.results import FILE_NAME

    others = {path.parent.name for path in output.glob(f"*/{FILE_NAME}")} - {name}
    if others:
        raise ValueError(
            f"The output folder contains the runs {', '.join(sorted(others))}. "
            f"Choose another --output. Received: {output}"
        )
