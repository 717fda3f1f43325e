"""Compares all mechanisms and a GRU on several data sets of series.

    KERAS_BACKEND=torch python benchmarks/time_series.py --time-limit 3600
    KERAS_BACKEND=torch python benchmarks/time_series.py --task uneven_series

The task `time_series` has eight data sets of the UCR and UEA archives, and needs the
extra `timeseries`. `uneven_series` has four kinds of generated series, whose classes
depend on time in different ways. Each data set is a comparison in a folder of its own,
with the learning rate of each mechanism chosen from `--rates` on validation rows: the
first seed runs with all of them, and the other seeds with the best. To continue, run
the same command again: complete runs are kept. Whenever it ends, `README.md` in the
folder of `--output` has the mean scores, mean ranks over the data sets, and the
baselines, and `results.csv` has a line for each complete run.

A series has at most 48 tokens. Mechanisms whose default window, block or bucket would
hold all of it get smaller ones, see `SHORT`.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

from rich.console import Console

from keras_twa import tasks
from keras_twa.cli import common
from keras_twa.cli.termination import terminable
from keras_twa.datasets import time_series
from keras_twa.datasets import uneven_series
from keras_twa.experiments.across import Across
from keras_twa.experiments.comparison import COMPARISON_FILE
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.config import preset_settings
from keras_twa.experiments.report import write_report
from keras_twa.experiments.results import load_results
from keras_twa.experiments.summary import Summary
from keras_twa.experiments.terminal import ProgressView

# The data sets of each task, and the heading of its summary.
TASKS = {
    "time_series": (
        time_series.NAMES,
        "Attention mechanisms on series of the UCR and UEA archives",
    ),
    "uneven_series": (
        uneven_series.KINDS,
        "Attention mechanisms on generated series at uneven times",
    ),
}
COLUMNS = (
    "data",
    "attention",
    "seed",
    "learning_rate",
    "validation_percent",
    "test_percent",
    "parameters",
)
RATES = (1e-3, 4e-3, 1.6e-2)
SEEDS = (0, 1, 2, 3, 4)
SHORT = {
    "local": "local(window=16)",
    "sparse": "sparse(block_size=4)",
    "lsh": "lsh(bucket_size=16, num_buckets=8)",
    "block_recurrent": "block_recurrent(block_size=16)",
}


def main(arguments=None):
    """Runs what is left, and writes the reports. Returns the exit code."""
    options = parse(arguments)
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        backend, mechanisms = common.load_mechanisms(())
        given = options.attention or [SHORT.get(n, n) for n in (*mechanisms, "gru")]
        attentions = common.chosen(given, mechanisms, tasks.get(options.task).models)
        output = options.output or Path(f"runs/{options.task}-{backend}")
        deadline = time.monotonic() + options.time_limit
        try:
            with terminable():
                for name in options.data:
                    compare(
                        name, attentions, options, backend, output, deadline, console
                    )
        finally:
            summarize(output, options, console)
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; the same command continues.", file=sys.stderr)
        return 130
    return 0


def compare(name, attentions, options, backend, output, deadline, console):
    """Runs what is left of the comparison on one data set, and writes its report."""
    if time.monotonic() >= deadline:
        return
    settings = preset_settings(options.task, options.preset, **options.changes)
    experiments = [
        Experiment(options.task, attention, seed, options.preset, name, settings)
        for seed in options.seeds
        for attention in attentions
    ]
    folder = output / name
    comparison = Comparison(folder, experiments, backend, options.rates)
    comparison.prepare(tasks.load(options.task, name, settings))
    console.rule(name)
    start = time.monotonic()
    with ProgressView(console, comparison.planned) as view:
        results = comparison.run(view, deadline - start, options.workers)
    done = sum(result.status == "completed" for result in results)
    console.print(
        f"{name}: {done} of {len(comparison.planned)} runs complete, "
        f"{time.monotonic() - start:.0f} s now"
    )
    write_report(folder)


def summarize(output, options, console):
    """Writes `README.md` and `results.csv` about the data sets with complete runs."""
    summaries = {}
    for name in options.data:
        if (output / name / COMPARISON_FILE).exists():
            summary = Summary.load(output / name)
            if any(mechanism.score for mechanism in summary.mechanisms):
                summaries[name] = summary
    if summaries:
        path = output / "README.md"
        Across(summaries).write(path, TASKS[options.task][1])
        write_runs(output / "results.csv", output, summaries)
        console.print(f"Summary: {path}", soft_wrap=True)


def write_runs(path, output, names):
    """Writes a table of the complete runs on these data sets."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name in names:
            for result in load_results(output / name):
                if result.status == "completed":
                    run = result.experiment
                    scores = result.best_validation, result.score
                    percent = (round(100 * score, 1) for score in scores)
                    row = (name, run.attention, run.seed, run.learning_rate, *percent)
                    writer.writerow((*row, result.parameters))


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--task", choices=TASKS, default="time_series", help="default: time_series")
    add("--data", help="names of data sets, separated by commas; default: all")
    add("--attention", type=common.names, help="default: all mechanisms and gru")
    add("--seeds", type=integers, default=SEEDS, help="default: 0,1,2,3,4")
    add("--rates", type=numbers, default=RATES, help="default: 0.001,0.004,0.016")
    add("--preset", default="quick", help="default: quick")
    add("--epochs", type=int, help="of 20 batches; default: that of the preset")
    add("--workers", type=int, default=2, help="runs at once; default: 2")
    add("--time-limit", type=float, default=float("inf"), help="seconds in all")
    add("--output", type=common.folder, help="default: runs/TASK-BACKEND")
    options = parser.parse_args(arguments)
    changes = {"epochs": options.epochs}
    options.changes = {key: x for key, x in changes.items() if x is not None}
    if options.workers < 1 or not options.time_limit > 0:
        parser.error("--workers and --time-limit must be positive.")
    known, _ = TASKS[options.task]
    options.data = list(known) if options.data is None else options.data.split(",")
    if unknown := [name for name in options.data if name not in known]:
        parser.error(
            f"--data must name some of {', '.join(known)}. "
            f"Received: {','.join(unknown)}"
        )
    return options


def integers(text):
    return tuple(map(int, text.split(",")))


def numbers(text):
    return tuple(map(float, filter(None, text.split(","))))


if __name__ == "__main__":
    sys.exit(main())
