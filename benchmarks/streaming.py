"""Differences between a sequence in chunks, or step by step, and in one call.

    KERAS_BACKEND=torch python benchmarks/streaming.py

For each causal mechanism with a state: the largest difference between two outputs,
divided by the largest output, in float32. Rows of mixed lengths, padded on the right
and on the left, are passed in one call, in chunks of uneven lengths, and step by step.
"""

import argparse
import json
import sys

import keras_twa  # noqa: F401  # isort: skip  Before Keras: names a missing backend.
import keras
import numpy as np
from keras import ops
from rich.console import Console
from rich.table import Table

from keras_twa import layers
from keras_twa.layers.registry import name_of

BATCH, WIDTH, HEADS = 4, 32, 4
FIRST_CHUNKS = (1, 7, 64, 100)


def main():
    options = parse_arguments()
    # The others need the whole sequence, and have no state.
    chosen = [x for x in layers.ATTENTION_LAYERS if x.prefix_invariant]
    names = [name_of(layer) for layer in chosen]
    rows = [{"name": name, **errors(name, options.length)} for name in names]
    if options.json:
        settings = {"backend": keras.backend.backend(), "length": options.length}
        print(json.dumps({**settings, "largest_differences": rows}, indent=2))
        return 0
    table = Table(title=f"{keras.backend.backend()}, {options.length} steps, float32")
    for column in ("mechanism", "chunks, whole", "steps, whole"):
        table.add_column(column)
    for row in rows:
        table.add_row(row["name"], f"{row['chunks']:.0e}", f"{row['steps']:.0e}")
    Console().print(table)
    return 0


def errors(name, length):
    """The largest differences of a mechanism, in chunks and step by step."""
    keras.utils.set_random_seed(0)
    options = {"num_heads": HEADS, "key_dim": WIDTH // HEADS}
    if name == "transformer_xl":
        # It attends to no steps beyond its memory, by definition.
        options["memory_length"] = length
    layer = layers.get(name, **options)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, length, WIDTH)).astype("float32")
    steps, half = np.arange(length), length // 2
    real = np.stack([steps >= 0, steps < half, steps >= half, abs(steps - half) < 9])
    whole = layer(x, query_mask=real, value_mask=real, use_causal_mask=True)
    whole = ops.convert_to_numpy(whole)
    cuts = np.cumsum([n for n in FIRST_CHUNKS if n < length])
    ends = {"chunks": [*cuts[cuts < length], length], "steps": [*(steps + 1)]}
    return {
        how: difference(in_parts(layer, x, real, some), whole)
        for how, some in ends.items()
    }


def in_parts(layer, x, real, ends):
    """The outputs of a sequence that is passed in parts, which end at `ends`."""
    outputs, first = [], 0
    state = layer.initial_state(len(x), max_length=x.shape[1])
    for end in ends:
        part, seen = x[:, first:end], real[:, first:end]
        output, state = layer(
            part,
            query_mask=seen,
            value_mask=seen,
            use_causal_mask=True,
            initial_state=state,
            return_state=True,
        )
        outputs.append(ops.convert_to_numpy(output))
        first = end
    return np.concatenate(outputs, axis=1)


def difference(got, expected):
    """The largest difference, divided by the largest output."""
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--length", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="print numbers as JSON")
    options = parser.parse_args()
    if options.length < 1:
        parser.error(f"`--length` must be positive. Received: {options.length}")
    return options


if __name__ == "__main__":
    sys.exit(main())
