"""Times training: a classifier and its peers, and an epoch with bucketed lengths.

    KERAS_BACKEND=torch python benchmarks/training.py
    KERAS_BACKEND=jax python benchmarks/training.py --bucketing --data aclImdb_v1.tar.gz

The first command times one training step (forward, loss, backward, Adam) of
`EncoderClassifier(attention="dot_product")` and of the same classifier with blocks
made of `keras.layers.MultiHeadAttention` or, on PyTorch, of
`torch.nn.TransformerEncoderLayer` in a plain PyTorch loop. All normalise first and use
the exact GELU. Dropout of 0.1 applies to the embeddings, to the output of each residual
branch and to the hidden layer of the head, but not to attention weights. They have the
same number of parameters and, with the same weights, the same logits. Each row fills
between half of the length and all of it. The rest is padding, which all of them mask.

The second command compares an epoch over the IMDb training reviews in the batches of
`keras-twa compare` with an epoch where every review is padded to the full length. No
epoch is run: a step is measured for each shape of batch, on real batches. The time of
an epoch is the sum of these times over the batches of the real data.

A Keras step is `train_on_batch` as Keras compiles it by default, from NumPy arrays
to a loss on the host. Each case runs in its own process. Its time is the median of
`--repeats` steps after the warm-up steps, and its range is from the fastest to the
slowest. Compare only numbers of the same run: those of another machine, or of a busy
one, differ.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

# None of these imports a framework, which the waiting process does not need.
from keras_twa.datasets.batches import BucketedBatches
from keras_twa.datasets.imdb import NUM_CLASSES
from keras_twa.datasets.imdb import VOCABULARY_SIZE
from keras_twa.experiments.config import preset_settings
from keras_twa.tasks import load

OURS = "keras_twa"
KERAS_PEER = "keras.layers.MultiHeadAttention"
TORCH_PEER = "torch.nn.TransformerEncoderLayer"
# The largest ratio of our step to the peer's, or of a bucketed epoch to a padded one.
STEP_TARGETS = {
    ("torch", TORCH_PEER): 1.0,
    ("jax", KERAS_PEER): 0.5,
    ("tensorflow", KERAS_PEER): 0.9,
}
BUCKETING_TARGET = 0.45
TARGET_NOTE = "The targets are set for the default sizes and the real reviews."
SETTINGS = ("length", "batch", "layers", "width", "heads", "repeats")
WARM_UP_STEPS = 2
DROPOUT = 0.1
EPSILON = 1e-5


def main():
    parser = make_parser()
    options = parser.parse_args()
    try:
        check(options)
        if options.case is not None:
            print(json.dumps(measure(options.case, options)))
            return
        compare = compare_batching if options.bucketing else compare_models
        settings = {name: getattr(options, name) for name in SETTINGS}
        report = {"environment": {}, "settings": settings, "notes": [TARGET_NOTE]}
        table = compare(options, report)
    except (OSError, ValueError, RuntimeError) as error:
        parser.error(" ".join(str(error).split()))
    # If the output is a file, the default of 80 columns is too few for the table.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    for key, value in report["environment"].items():
        console.print(f"{key}: {value}")
    console.print(table, *report["notes"], sep="\n")
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


def make_parser():
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    for name, default, what in (
        ("length", None, "longest sequence (default: 1024, with --bucketing 4096)"),
        ("batch", 32, "sequences in a batch (default: 32, as in the presets)"),
        ("layers", 2, "encoder blocks (default: 2)"),
        ("width", 128, "features; the feed-forward has 4 times as many (default: 128)"),
        ("heads", 4, "attention heads (default: 4)"),
        ("repeats", 5, "steps that are timed (default: 5)"),
    ):
        add(f"--{name}", type=positive, default=default, metavar="N", help=what)
    add("--bucketing", action="store_true", help="compare two ways to make batches")
    add("--data", metavar="PATH", help="IMDb for --bucketing: a path, or `sample`")
    add("--json", metavar="PATH", help="also write the numbers to this file")
    add("--case", help=argparse.SUPPRESS)
    return parser


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a positive integer, not {text!r}")
    return int(text)


def check(options):
    """Raises an error for invalid options, before an hour of measuring."""
    options.length = options.length or (4096 if options.bucketing else 1024)
    if options.width % options.heads:
        raise ValueError(
            "--width must be a multiple of --heads. "
            f"Received: --width {options.width} --heads {options.heads}"
        )
    if options.bucketing != (options.data is not None):
        raise ValueError("--bucketing and --data must be used together.")
    if options.json and not Path(options.json).resolve().parent.is_dir():
        raise ValueError(f"The folder does not exist. Received: --json {options.json}")


def compare_models(options, report):
    """Fills in the report, and returns the table."""
    ours, report["environment"] = run_case(OURS)
    backend = report["environment"]["backend"]
    report["cases"] = [ours]
    for name in [KERAS_PEER] + [TORCH_PEER] * (backend == "torch"):
        peer, _ = run_case(name)
        peer["ratio"] = ours["median"] / peer["median"]
        peer["target"] = STEP_TARGETS.get((backend, name))
        report["cases"].append(peer)
    rows = []
    for case in report["cases"]:
        row = [case["name"], f"{case['parameters']:,}", *times(case)]
        if "ratio" in case:
            row.append(f"{case['ratio']:.2f}")
        if case.get("target"):
            row.append(verdict(case["ratio"], case["target"]))
        rows.append(row)
    headings = ("model", "parameters", "seconds", "range", "keras_twa / it", "target")
    return make_table("One training step", report["settings"], headings, rows)


def compare_batching(options, report):
    """Fills in the report, and returns the table."""
    # Records what the data is, but not its path, which is private.
    report["settings"]["data"], ways = ways_to_batch(options)
    report["cases"], rows, epochs = [], [], {}
    for way, batches in ways.items():
        counts = Counter(tokens.shape[1] for tokens, _, _ in batches.epoch())
        epochs[way] = 0
        for length, count in sorted(counts.items()):
            case, report["environment"] = run_case(f"{way} {length}")
            seconds = count * case["median"]
            epochs[way] += seconds
            report["cases"].append(case | {"batches": count, "epoch_seconds": seconds})
            rows.append([case["name"], str(count), *times(case), f"{seconds:.1f}"])
        rows.append([f"{way}, sum", str(len(batches)), "", "", f"{epochs[way]:.1f}"])
    ratio = epochs["bucketed"] / epochs["padded"]
    report |= {"epoch_seconds": epochs, "ratio": ratio, "target": BUCKETING_TARGET}
    report["notes"] = [
        "No epoch was run: its time is that of the measured step of each shape, times "
        "the number of batches of that shape in the data.",
        f"bucketed / padded: {ratio:.2f} (target {verdict(ratio, BUCKETING_TARGET)})",
        *report["notes"],
    ]
    headings = ("batches", "number", "s / batch", "range", "s / epoch")
    return make_table("Training on the reviews", report["settings"], headings, rows)


def ways_to_batch(options):
    """Returns the source of the data, and the training batches made in both ways."""
    settings = preset_settings("imdb", "mvp", max_length=options.length)
    task = load("imdb", options.data, settings)
    bucketed = task.train_batches(options.batch, seed=0)
    padded = BucketedBatches(*task.splits["train"], options.batch, (options.length,))
    return task.source, {"bucketed": bucketed, "padded": padded}


def run_case(name):
    """Returns the result of `measure` in a fresh process, and its environment."""
    command = [sys.executable, __file__, *sys.argv[1:], "--case", name]
    with Console(stderr=True).status(name):
        done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    raise RuntimeError(f"{name} failed: {reason[-1]}")


def measure(name, options):
    import keras

    from keras_twa.experiments.machine import environment

    keras.utils.set_random_seed(0)
    if options.bucketing:
        model, batches = encoder_classifier(options), real_batches(name, options)
    else:
        model, batches = MODELS[name](options), [made_up_batch(options)]
    make_step = torch_step if name == TORCH_PEER else keras_step
    seconds = time_steps(make_step(model), batches, options.repeats)
    case = {
        "name": name,
        "parameters": count_parameters(model),
        "median": float(np.median(seconds)),
        "seconds": seconds,
    }
    return case, environment()


def count_parameters(model):
    weights = model.weights if hasattr(model, "weights") else model.parameters()
    return sum(int(np.prod(weight.shape)) for weight in weights)


def time_steps(step, batches, repeats):
    """Returns the seconds of each step after the first ones."""
    batches = itertools.cycle(batches)
    seconds = []
    for _ in range(WARM_UP_STEPS + repeats):
        batch = next(batches)
        start = time.perf_counter()
        # Returns a number on the host, so the device is done, too.
        step(*batch)
        seconds.append(time.perf_counter() - start)
    return seconds[WARM_UP_STEPS:]


def made_up_batch(options):
    """Random tokens and labels; each row ends somewhere in its second half."""
    rng = np.random.default_rng(0)
    shape = (options.batch, options.length)
    lengths = rng.integers(-(-options.length // 2), options.length + 1, options.batch)
    tokens = rng.integers(1, VOCABULARY_SIZE, shape, dtype="int32")
    tokens[np.arange(options.length) >= lengths[:, None]] = 0
    return tokens, rng.integers(0, NUM_CLASSES, options.batch, dtype="int32")


def real_batches(name, options):
    """The first batches of one shape, at most one for each step to time."""
    way, length = name.split()
    batches = ways_to_batch(options)[1][way].epoch()
    wanted = (batch for batch in batches if batch[0].shape[1] == int(length))
    return list(itertools.islice(wanted, options.repeats))


def encoder_classifier(options):
    from keras_twa.models import EncoderClassifier

    return EncoderClassifier(
        VOCABULARY_SIZE,
        NUM_CLASSES,
        attention="dot_product",
        num_layers=options.layers,
        embedding_dim=options.width,
        num_heads=options.heads,
        intermediate_dim=4 * options.width,
        dropout=DROPOUT,
    )


def keras_peer(options):
    """The same classifier around Keras's own attention."""
    import keras
    from keras import layers

    from keras_twa.layers import FeedForward
    from keras_twa.layers import SinusoidalPositions

    def norm(x):
        return layers.LayerNormalization(epsilon=EPSILON)(x)

    def drop(x):
        return layers.Dropout(DROPOUT)(x)

    width, heads = options.width, options.heads
    tokens = keras.Input((None,), dtype="int32")
    real = keras.ops.not_equal(tokens, 0)
    # One row for all queries: the smallest mask that hides the padded keys.
    mask = keras.ops.expand_dims(real, axis=1)
    x = layers.Embedding(VOCABULARY_SIZE, width)(tokens)
    x = drop(SinusoidalPositions()(x))
    for _ in range(options.layers):
        attend = layers.MultiHeadAttention(heads, width // heads)
        normed = norm(x)
        x = x + drop(attend(normed, normed, attention_mask=mask))
        x = x + drop(FeedForward(4 * width, "gelu")(norm(x)))
    pooled = layers.GlobalAveragePooling1D()(norm(x), mask=real)
    hidden = drop(layers.Dense(4 * width, activation="gelu")(pooled))
    return keras.Model(tokens, layers.Dense(NUM_CLASSES)(hidden))


def torch_peer(options):
    """The same classifier in plain PyTorch."""
    import torch
    from torch import nn

    width, inner = options.width, 4 * options.width

    def make_block():
        choices = {"batch_first": True, "norm_first": True}
        block = nn.TransformerEncoderLayer(
            width, options.heads, inner, DROPOUT, "gelu", EPSILON, **choices
        )
        # It would also drop attention weights and hidden features; our blocks do not.
        block.self_attn.dropout = 0.0
        block.dropout.p = 0.0
        return block

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY_SIZE, width)
            rates = 10_000.0 ** (-torch.arange(0, width, 2) / width)
            angles = torch.arange(options.length)[:, None] * rates
            waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
            self.register_buffer("positions", waves[:, :width])
            self.drop = nn.Dropout(DROPOUT)
            self.blocks = nn.ModuleList(make_block() for _ in range(options.layers))
            self.norm = nn.LayerNorm(width, EPSILON)
            self.hidden = nn.Linear(width, inner)
            self.head = nn.Linear(inner, NUM_CLASSES)

        def forward(self, tokens):
            padding = tokens == 0
            x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
            x = self.drop(x)
            for block in self.blocks:
                x = block(x, src_key_padding_mask=padding)
            real = (~padding)[..., None].float()
            pooled = (self.norm(x) * real).sum(1) / real.sum(1)
            return self.head(self.drop(nn.functional.gelu(self.hidden(pooled))))

    return Classifier().to("cuda" if torch.cuda.is_available() else "cpu")


MODELS = {OURS: encoder_classifier, KERAS_PEER: keras_peer, TORCH_PEER: torch_peer}


def keras_step(model):
    import keras

    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return lambda *batch: float(model.train_on_batch(*batch))


def torch_step(model):
    import torch

    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters())
    model.train()

    def step(tokens, labels):
        tokens, labels = (torch.from_numpy(x).to(device) for x in (tokens, labels))
        loss = torch.nn.functional.cross_entropy(model(tokens), labels.long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def make_table(title, settings, headings, rows):
    sizes = ", ".join(f"{name} {value}" for name, value in settings.items())
    table = Table(*headings, title=f"{title}: {sizes}", box=box.SIMPLE_HEAD)
    for number, column in enumerate(table.columns):
        column.no_wrap, column.justify = True, "right" if number else "left"
    for row in rows:
        table.add_row(*row)
    return table


def times(case):
    seconds = case["seconds"]
    return f"{case['median']:.3f}", f"{min(seconds):.3f}-{max(seconds):.3f}"


def verdict(ratio, target):
    return f"≤ {target}: {'met' if ratio <= target else 'missed'}"


if __name__ == "__main__":
    main()
