"""Times every attention layer beside `keras.layers.MultiHeadAttention`.

    KERAS_BACKEND=jax python benchmarks/attention.py
    KERAS_BACKEND=torch python benchmarks/attention.py --length 4096 --batch 2

One step is self-attention forward and backward: the gradients of the sum of the
squared outputs with respect to the input and all weights. It is compiled as Keras
compiles training on that backend: `jax.jit`, `tf.function(jit_compile=True)`, and
eager PyTorch.

Each layer runs in a process of its own, so that none pays for the memory or the
caches of another. There it first has to be right: on a short sequence, cut into
tiles, outputs and gradients must equal those of the dense route that also returns
the attention scores. A layer that fails gets no ratio.

The time is the median of `--repeats` steps after two that do not count; the range
is from the fastest to the slowest. The memory is how far the peak rises above what
the process held after a short warm-up: resident memory on a CPU, the device's own
count where the backend tells it. Numbers of one run compare with one another;
those of another machine, or of a busy one, do not.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

PEER = "keras MultiHeadAttention"
FACTS = "facts"
WARM_UP_STEPS = 2
SHORT = 8
CHECKED_LENGTH = 37
CHECKED_TILE = 200
TOLERANCE = 2e-3


def main():
    options = parse_arguments()
    if options.case is not None:
        print(json.dumps(measure(options.case, options)))
        return 0
    from rich.console import Console

    console = Console(highlight=False)
    facts = run_case(FACTS)
    if "error" in facts:
        sys.exit(facts["error"])
    unknown = set(options.attention or ()) - set(facts["mechanisms"])
    if unknown:
        sys.exit(
            f"The layers are {', '.join(facts['mechanisms'])}. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    for key, value in facts["environment"].items():
        console.print(f"{key}: {value}")
    results = []
    for name in (PEER, *(options.attention or facts["mechanisms"])):
        with console.status(name):
            results.append(run_case(name))
        if "error" in results[-1]:
            console.print(f"{name} failed: {results[-1]['error']}")
    settings = {k: v for k, v in vars(options).items() if k not in ("case", "json")}
    console.print(table(results, settings))
    if options.json:
        report = {
            "environment": facts["environment"],
            "settings": settings,
            "cases": results,
        }
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    return int(any("error" in result or not result["agrees"] for result in results))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default, what in (
        ("length", 1024, "steps of the sequence"),
        ("batch", 8, "sequences"),
        ("heads", 4, "attention heads"),
        ("dim", 32, "width of each head"),
        ("repeats", 7, "steps that are timed"),
    ):
        parser.add_argument(
            f"--{name}",
            type=positive,
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )
    parser.add_argument(
        "--attention",
        type=names,
        metavar="A,B",
        help="names of layers, as `keras-twa list` shows them (default: all)",
    )
    parser.add_argument("--json", metavar="PATH", help="also write the numbers here")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(
            f"expected a positive integer. Received: {text!r}"
        )
    return int(text)


def names(text):
    return [name.strip() for name in text.split(",") if name.strip()]


def run_case(name):
    """Measures one layer in a fresh process; returns its numbers or its error.

    This process imports no framework: a child would inherit part of its memory.
    """
    command = [sys.executable, __file__, *sys.argv[1:], "--case", name]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return {"name": name, "error": reason[-1]}


def measure(name, options):
    import keras
    import numpy as np

    from keras_twa.experiments.machine import environment
    from keras_twa.experiments.machine import reset_peak_memory

    if name == FACTS:
        return {"environment": environment(), "mechanisms": list(mechanisms())}
    keras.utils.set_random_seed(0)
    width = options.heads * options.dim

    def sequences(length):
        noise = np.random.default_rng(0).normal(size=(options.batch, length, width))
        return keras.ops.convert_to_tensor(noise.astype("float32"))

    layer = make(name, options)
    layer.build((None, None, width), (None, None, width))
    agrees = name == PEER or equals_dense_route(layer, sequences(CHECKED_LENGTH))

    step = compiled_step(layer)
    # What the framework loads and keeps on first use is not the layer's.
    wait_for(step(sequences(SHORT)))
    x = sequences(options.length)
    reset_peak_memory()
    before = held_memory()
    for _ in range(WARM_UP_STEPS):
        wait_for(step(x))
    seconds = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        wait_for(step(x))
        seconds.append(time.perf_counter() - start)
    return {
        "name": name,
        "agrees": bool(agrees),
        "seconds": seconds,
        "median": statistics.median(seconds),
        "memory": highest_memory() - before,
        "parameters": layer.count_params(),
    }


def mechanisms():
    from keras_twa import layers

    return {layers.name_of(layer): layer for layer in layers.ATTENTION_LAYERS}


def make(name, options):
    import keras

    layer = keras.layers.MultiHeadAttention if name == PEER else mechanisms()[name]
    return layer(num_heads=options.heads, key_dim=options.dim)


def equals_dense_route(layer, x):
    """Whether tiles (or a fused kernel) and the dense route give the same numbers."""
    from keras import ops

    from keras_twa.ops import tiled

    def highest(x):
        return float(ops.max(ops.abs(x)))

    with mock.patch.multiple(tiled, DENSE_ELEMENTS=0, TILE_ELEMENTS=CHECKED_TILE):
        output, *gradients = compiled_step(layer)(x)
    dense_step = compiled_step(layer, return_attention_scores=True)
    dense_output, *dense_gradients = dense_step(x)
    # Some gradients are zero but for rounding, such as that of the keys' bias, so
    # the largest sets the scale for all. Negated, so that NaN is no agreement.
    return not any(
        not highest(ops.subtract(got, expected)) <= TOLERANCE * scale
        for scale, pairs in (
            (highest(dense_output), [(output, dense_output)]),
            (
                max(map(highest, dense_gradients)),
                zip(gradients, dense_gradients, strict=True),
            ),
        )
        for got, expected in pairs
    )


def compiled_step(layer, **call_options):
    """A function from `x` to the output, its gradient in `x` and in each weight."""
    import keras
    from keras import ops

    def loss_and_output(outputs):
        output = outputs[0] if isinstance(outputs, tuple | list) else outputs
        return ops.sum(ops.square(output)), output

    makers = {"jax": _jax_step, "tensorflow": _tensorflow_step, "torch": _torch_step}
    make_step = makers[keras.backend.backend()]
    return make_step(layer, call_options, loss_and_output)


def _jax_step(layer, call_options, loss_and_output):
    import jax

    frozen = [variable.value for variable in layer.non_trainable_variables]
    weights = [variable.value for variable in layer.trainable_variables]

    def loss(x, weights):
        outputs, _ = layer.stateless_call(weights, frozen, x, x, **call_options)
        return loss_and_output(outputs)

    graded = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))

    def step(x):
        (_, output), (in_x, in_weights) = graded(x, weights)
        return [output, in_x, *in_weights]

    return step


def _tensorflow_step(layer, call_options, loss_and_output):
    import tensorflow as tf

    weights = [variable.value for variable in layer.trainable_variables]

    @tf.function(jit_compile=True)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss, output = loss_and_output(layer(x, x, **call_options))
        return [output, *tape.gradient(loss, [x, *weights])]

    return step


def _torch_step(layer, call_options, loss_and_output):
    import torch

    weights = [variable.value for variable in layer.trainable_variables]

    def step(x):
        x = x.detach().requires_grad_()
        loss, output = loss_and_output(layer(x, x, **call_options))
        gradients = torch.autograd.grad(loss, [x, *weights])
        return [output.detach(), *gradients]

    return step


def wait_for(results):
    """Returns when the numbers are there: devices work while Python runs ahead."""
    from keras import ops

    # A scalar that depends on each of them, copied to the host.
    for result in results[:2]:
        ops.convert_to_numpy(result[(0,) * len(result.shape)])


def held_memory():
    import psutil

    from keras_twa.experiments.machine import memory

    device = memory()["device_peak"]
    return psutil.Process().memory_info().rss if device is None else device


def highest_memory():
    from keras_twa.experiments.machine import memory

    peaks = memory()
    return peaks["peak"] if peaks["device_peak"] is None else peaks["device_peak"]


def table(results, settings):
    from rich import box
    from rich.table import Table

    sizes = (f"{key} {settings[key]}" for key in ("length", "batch", "heads", "dim"))
    shown = Table(title=f"Forward + backward, {', '.join(sizes)}", box=box.SIMPLE_HEAD)
    shown.add_column("layer", no_wrap=True)
    for heading in ("ms", "range", "/ Keras", "MB", "/ Keras"):
        shown.add_column(heading, justify="right", no_wrap=True)
    peer = results[0]
    for result in results:
        if "error" in result:
            shown.add_row(result["name"], "failed")
            continue
        seconds = result["seconds"]
        shown.add_row(
            result["name"],
            milliseconds(result["median"]),
            f"{milliseconds(min(seconds))}-{milliseconds(max(seconds))}",
            ratio(result, peer, "median"),
            f"{result['memory'] / 1e6:.0f}",
            ratio(result, peer, "memory"),
        )
    return shown


def milliseconds(seconds):
    return f"{1e3 * seconds:.{0 if seconds >= 0.1 else 1}f}"


def ratio(result, peer, what):
    if not result["agrees"]:
        return "WRONG"
    if "error" in peer or peer[what] <= 0:
        return "-"
    return f"{result[what] / peer[what]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
