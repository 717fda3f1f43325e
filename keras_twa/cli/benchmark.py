"""`keras-twa benchmark`: times layers on this machine."""

import argparse
import dataclasses
from typing import Any

from keras_twa.cli import common

EXAMPLES = """\
examples:
  keras-twa benchmark
  keras-twa benchmark --attention linear,retention --length 4096 --causal
  keras-twa benchmark --attention all --length 256 --json

One step trains a model that has only this layer: forward pass, backward pass and
update of the weights, as Keras compiles them. The layers take turns in one process.
The time is the median after a warm-up, beside that of Keras's own layer. Compare
times only within one call, on a machine that is not busy. benchmarks/attention.py in
the repository also measures memory and other libraries.
"""
# The options and their help texts.
SIZES = {
    "length": "steps of a sequence",
    "batch": "sequences",
    "heads": "attention heads",
    "dim": "width of a head",
    "repeats": "timed steps",
}
DEFAULTS = {"length": 1024, "batch": 2, "heads": 4, "dim": 64, "repeats": 5}


def add(commands: Any) -> None:
    """Adds the command."""
    parser = common.add_command(
        commands, "benchmark", "time layers on this machine", EXAMPLES
    )
    parser.set_defaults(run=run)
    common.add_mechanisms(parser, common.COMPARED_TEXT)
    for name, what in SIZES.items():
        default = DEFAULTS[name]
        parser.add_argument(
            f"--{name}",
            type=int,
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )
    parser.add_argument(
        "--causal",
        action="store_true",
        help="use a causal mask; some mechanisms are always causal",
    )


def run(options: argparse.Namespace) -> int:
    """Times the layers and prints a table or JSON."""
    backend, mechanisms = common.load_mechanisms(options.modules)
    attentions = common.chosen(options.attention, mechanisms)
    from keras_twa.datasets.progress import shown
    from keras_twa.experiments.benchmark import Sizes
    from keras_twa.experiments.benchmark import benchmark
    from keras_twa.experiments.machine import environment

    sizes = Sizes(
        **{name: getattr(options, name) for name in SIZES}, causal=options.causal
    )
    with shown(None, "Timing") as progress:
        timings = benchmark(attentions, sizes, progress)
    console = common.console(options)
    told = ", ".join(f"{name} {getattr(sizes, name)}" for name in SIZES)
    console.print(f"One training step of a layer, {backend} backend: {told}")
    console.print(_table(timings))
    for timing in timings:
        if timing.problem:
            console.print(f"{timing.name}: {timing.problem}")
    if options.json:
        common.print_json(
            {
                "environment": environment(),
                "sizes": dataclasses.asdict(sizes),
                "timings": [
                    {**dataclasses.asdict(timing), "median": timing.median}
                    for timing in timings
                ],
            }
        )
    return int(any(timing.problem for timing in timings))


def _table(timings: list[Any]) -> Any:
    from keras_twa.experiments.fitted_table import FittedTable

    interval = "fastest to slowest"
    headings = ("layer", "causal", "parameters", "median", interval, "/ Keras")
    table = FittedTable(
        headings, "layer", needed=("median", interval), wraps={interval: 24}
    )
    keras = timings[0].median
    for timing in timings:
        cells = ["yes" if timing.causal else "no"]
        if timing.problem:
            cells += ["", "failed"]
        else:
            ratio = f"{timing.median / keras:.2f}" if keras else ""
            cells += [
                f"{timing.parameters:,}",
                _milliseconds(timing.median),
                f"{_milliseconds(min(timing.seconds))} to "
                f"{_milliseconds(max(timing.seconds))}",
                ratio,
            ]
        table.add_row(timing.name, *cells)
    return table


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.1f} ms"
