"""Memory of a training step with and without gradient checkpointing.

    KERAS_BACKEND=torch python benchmarks/remat.py

Each is measured in its own process, as the peak of one gradient of a stack of encoder
blocks, above what the process held before.
"""

import argparse
import json
import os
import subprocess
import sys

import keras_twa  # noqa: F401  # isort: skip  Before Keras: names a missing backend.
import keras
import measure
import steps
from processes import MEMORY_ENVIRONMENT
from rich.console import Console
from rich.table import Table

from keras_twa import layers

KINDS = ("kept", "computed again")


def main():
    options = parse_arguments()
    if options.kind is not None:
        print(json.dumps(growth(options)))
        return 0
    found = {kind: in_a_process(kind) for kind in KINDS}
    if options.json:
        settings = {name: x for name, x in vars(options).items() if name != "json"}
        del settings["kind"]
        settings["backend"] = keras.backend.backend()
        print(json.dumps({**settings, "bytes": found}, indent=2))
        return 0
    title = (
        f"{keras.backend.backend()}: {options.blocks} blocks, {options.length} steps"
    )
    table = Table(title=title)
    for column in ("activations", "MB over idle"):
        table.add_column(column)
    for kind, size in found.items():
        table.add_row(kind, f"{size / 1e6:,.0f}")
    Console().print(table)
    return 0


def in_a_process(kind):
    """The bytes that a separate process measures."""
    command = [sys.executable, *sys.argv, "--kind", kind]
    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **MEMORY_ENVIRONMENT},
    )
    return json.loads(done.stdout.splitlines()[-1])


def growth(options):
    """The peak of a step, in bytes, above what was held before it."""
    keras.utils.set_random_seed(0)
    width = options.heads * options.dim
    model = keras.Sequential(
        [
            layers.TransformerEncoder(
                4 * width,
                options.heads,
                options.attention,
                activation="gelu",
                normalize_first=True,
                remat=options.kind == KINDS[1],
            )
            for _ in range(options.blocks)
        ]
    )
    model.build((None, None, width))
    step = steps.Subject(model, inputs=1, training=True).step()
    options.batch, options.dtype = 1, "float32"
    # A first step, so that loading and compiling do not count as activations.
    steps.wait_for(step(steps.sequences(steps.SHORT, options)))
    x = steps.sequences(options.length, options)
    return measure.peak_growth(lambda: steps.wait_for(step(x)))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--attention", default="dot_product")
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--json", action="store_true", help="print numbers as JSON")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
