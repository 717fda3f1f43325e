"""Training on short texts: padded, in buckets of similar length, and packed.

    KERAS_BACKEND=torch python benchmarks/packing.py --data aclImdb_v1.tar.gz

Real bytes per second in the training of `EncoderClassifier` on the reviews of IMDb, cut
after `--length` bytes as in the text task of Long Range Arena:

- padded: each row is one review, padded to the full length.
- bucketed: the batches of `keras-twa compare`. Reviews of similar length share a batch,
  which is padded to one of five lengths.
- packed: `datasets.pack` puts several reviews into a row of the full length.

No epoch is run. A step is measured for each shape of batch, on real batches, and the
time of an epoch is the sum of these times over all batches. Each batch has `--batch`
rows, so a packed batch holds more reviews than a padded one. A step is `train_on_batch`
as Keras compiles it by default, from NumPy arrays to a loss on the host.

The shapes take turns: each round measures all of them. The table has medians over
rounds, and the range of the ratios of the same round. Compare only numbers of the same
run: those of another machine, or of a busy one, differ.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras_twa  # noqa: F401  # isort: skip  Before Keras: names a missing backend.
import keras
import numpy as np
from rich.console import Console

from keras_twa import datasets
from keras_twa import layers
from keras_twa.datasets import imdb
from keras_twa.datasets.batches import BucketedBatches
from keras_twa.experiments.machine import environment
from keras_twa.models import EncoderClassifier

WAYS = ("padded", "bucketed", "packed")
WARM_UP_STEPS = 2
NO_PACKING = "no packed rows"


@dataclass
class Shape:
    """The batches of one shape.

    Args:
        way: One of `WAYS`.
        length: Length of the rows.
        count: Number of such batches in an epoch.
        batches: The first ones, as arguments of `train_on_batch`.
        max_segments: The largest number of reviews in a row, if rows are packed.
    """

    way: str
    length: int
    count: int
    batches: list[Any]
    max_segments: int | None = None


def main():
    parser = make_parser()
    options = parser.parse_args()
    try:
        check(options)
        reviews = imdb.load_sequences(options.data, max_length=options.length)
    except (OSError, ValueError) as error:
        parser.error(" ".join(str(error).split()))
    sequences, labels = reviews.train
    shapes = shapes_of(sequences, labels, options)
    tokens = int(sequences.lengths.sum())
    settings = {key: x for key, x in vars(options).items() if key != "json"}
    report = {
        "environment": environment(),
        # Records what the data is, but not its path, which is private.
        "settings": {**settings, "data": reviews.source},
        "reviews": len(labels),
        "tokens": tokens,
        "pairs": pairs_within(sequences, shapes, options.batch),
        "batches": [
            {"way": x.way, "length": x.length, "count": x.count} for x in shapes
        ],
        "cases": [],
    }
    for attention in options.attention:
        report["cases"] += measure(attention, shapes, tokens, options)
    for key, value in report["environment"].items():
        print(f"{key}: {value}")
    print(f"pairs within reviews / pairs of bucketed rows: {report['pairs']:.2f}")
    print(f"\n{table(report)}")
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    return 0


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


def make_parser():
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", required=True, metavar="PATH", help="the archive or folder aclImdb")
    add("--attention", nargs="+", default=["dot_product", "retention"], metavar="NAME")
    for name, default, what in (
        ("length", 4096, "longest review, and length of packed rows"),
        ("batch", 8, "rows in a batch"),
        ("layers", 2, "encoder blocks"),
        ("width", 64, "features; the feed-forward has 4 times as many"),
        ("heads", 4, "attention heads"),
        ("steps", 2, "steps of each shape in a round"),
        ("rounds", 3, "rounds through all shapes"),
    ):
        what = f"{what} (default: {default})"
        add(f"--{name}", type=int, default=default, metavar="N", help=what)
    add("--dtype", default="float32", help="dtype policy (default: float32)")
    add("--json", metavar="PATH", help="also write the numbers to this file")
    return parser


def check(options):
    """Raises an error for invalid options, before an hour of measuring."""
    for name in ("length", "batch", "layers", "width", "heads", "steps", "rounds"):
        if getattr(options, name) < 1:
            raise ValueError(
                f"--{name} must be a positive integer. "
                f"Received: --{name} {getattr(options, name)}"
            )
    if options.width % options.heads:
        raise ValueError(
            "--width must be a multiple of --heads. "
            f"Received: --width {options.width} --heads {options.heads}"
        )
    for attention in options.attention:
        layers.get(attention, num_heads=1, key_dim=1)
    if options.json and not Path(options.json).resolve().parent.is_dir():
        raise ValueError(f"The folder does not exist. Received: --json {options.json}")


def shapes_of(sequences, labels, options):
    """The `Shape`s of the batches that are made in each way."""
    batch, length = options.batch, options.length
    found = []
    for way, lengths in (("padded", (length,)), ("bucketed", None)):
        made = BucketedBatches(sequences, labels, batch, lengths)
        epoch = {size: [] for _, size in made.shapes}
        counts = Counter()
        for one in made.epoch():
            size = one[0].shape[1]
            counts[size] += 1
            if len(epoch[size]) < options.steps:
                epoch[size].append(one)
        found += [Shape(way, size, counts[size], some) for size, some in epoch.items()]
    return [*found, packed_shape(sequences, labels, options)]


def packed_shape(sequences, labels, options):
    """The `Shape` of packed rows, in random order."""
    packed = datasets.pack(sequences, options.length)
    arranged, weights = packed.labels(labels)
    order = np.random.default_rng(0).permutation(len(packed.tokens))
    # Repeated rows of weight 0 fill the last batch.
    count = -(-len(order) // options.batch)
    batches = []
    for first in range(0, len(order), options.batch):
        rows = np.resize(order[first : first + options.batch], options.batch)
        real = np.arange(options.batch) < len(order) - first
        inputs = {name: x[rows] for name, x in packed.inputs.items()}
        batches.append((inputs, arranged[rows], weights[rows] * real[:, None]))
        if len(batches) == options.steps:
            break
    return Shape("packed", options.length, count, batches, packed.max_segments)


def measure(attention, shapes, tokens, options):
    """The results of one attention: a dictionary for each way.

    Args:
        attention: Name of the attention.
        shapes: The `Shape`s.
        tokens: Number of real tokens in an epoch.
        options: The options of the command.
    """
    packs = layers.get(attention, num_heads=1, key_dim=1).packs
    shapes = [shape for shape in shapes if packs or shape.way != "packed"]
    runs = [Run(shape, attention, options) for shape in shapes]
    with Console(stderr=True).status(attention) as status:
        for run in runs:
            status.update(f"{attention}: {run.name}")
            run.steps(WARM_UP_STEPS)
        for number, run in itertools.product(range(options.rounds), runs):
            status.update(f"{attention}: {run.name}, round {number + 1}")
            run.seconds.append(run.steps(options.steps))
    # The rates of each round.
    rates = {
        way: [
            tokens / sum(run.epoch(number) for run in runs if run.shape.way == way)
            for number in range(options.rounds)
        ]
        for way in WAYS
        if way != "packed" or packs
    }
    results = []
    for way in WAYS:
        result = {"attention": attention, "way": way}
        results.append(result)
        if way not in rates:
            result["problem"] = NO_PACKING
            continue
        pairs = zip(rates[way], rates["padded"], strict=True)
        result |= {
            "tokens_per_second": statistics.median(rates[way]),
            "times_padded": [rate / padded for rate, padded in pairs],
            "real_share": real_share(tokens, shapes, way, options.batch),
            "seconds": {
                run.shape.length: run.seconds for run in runs if run.shape.way == way
            },
        }
    return results


class Run:
    """A model that trains on batches of one shape."""

    def __init__(self, shape, attention, options):
        self.shape = shape
        self.name = f"{shape.way} {shape.length}"
        self.seconds = []
        self._batches = itertools.cycle(shape.batches)
        keras.utils.set_random_seed(0)
        self._model = EncoderClassifier(
            imdb.VOCABULARY_SIZE,
            imdb.NUM_CLASSES,
            attention,
            num_layers=options.layers,
            embedding_dim=options.width,
            num_heads=options.heads,
            intermediate_dim=4 * options.width,
            max_length=options.length,
            max_segments=shape.max_segments,
            dtype=options.dtype,
        )
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )
        self._model.compile("adam", loss)

    def steps(self, number):
        """Returns the seconds of some steps."""
        seconds = []
        for _ in range(number):
            batch = next(self._batches)
            start = time.perf_counter()
            # Returns a number on the host, so the device is done, too.
            float(self._model.train_on_batch(*batch))
            seconds.append(time.perf_counter() - start)
        return seconds

    def epoch(self, number):
        """The seconds of all batches of this shape, as measured in a round."""
        return self.shape.count * statistics.median(self.seconds[number])


def real_share(tokens, shapes, way, batch):
    """The share of real tokens among all tokens of an epoch."""
    of_way = [shape for shape in shapes if shape.way == way]
    return tokens / sum(batch * shape.count * shape.length for shape in of_way)


def pairs_within(sequences, shapes, batch):
    """The pairs of steps of one review, relative to those of bucketed rows.

    Attention to pairs needs at least these in packed rows.
    """
    lengths = np.asarray(sequences.lengths, "float64")
    bucketed = [shape for shape in shapes if shape.way == "bucketed"]
    pairs = sum(batch * shape.count * shape.length**2 for shape in bucketed)
    return float(np.sum(lengths**2) / pairs)


def table(report):
    """The results as a Markdown table."""
    lines = [
        "| attention | rows | real tokens | real tokens per second | times padded |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for case in report["cases"]:
        cells = [f"`{case['attention']}`", case["way"]]
        if "problem" in case:
            cells += [case["problem"], "-", "-"]
        else:
            ratios = case["times_padded"]
            spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
            cells += [
                f"{case['real_share']:.0%}",
                f"{case['tokens_per_second']:,.0f}",
                f"{statistics.median(ratios):.2f} ({spread})",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
