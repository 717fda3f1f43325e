"""Measures one case in this process: its correctness, time and memory."""

import contextlib
import importlib.metadata
import itertools
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import keras_twa  # noqa: F401  # isort: skip  Before Keras: names a missing backend.
import cases
import keras
import peers
from keras import ops
from steps import SHORT
from steps import Subject
from steps import sequences
from steps import use_exact_products
from steps import wait_for

from keras_twa.experiments import machine
from keras_twa.ops import backend

WARM_UP_STEPS = 2
# In seconds. If the first step takes longer, it is the only warm-up.
SLOW = 20
# Steps stop repeating after this many seconds: the times of long steps vary little.
ENOUGH = 60
# Kernels that only GPUs have are for longer sequences.
CHECKED_LENGTH, GPU_CHECKED_LENGTH = 37, 300
# The positions at which single steps are timed, and the number of steps.
POSITIONS, STEPS = (100, 100_000), 50
# Constants that cut even a short sequence into tiles, in any file of `keras_twa.ops`.
SMALL_TILES = {"TILE_ELEMENTS": 200, "TILE_QUERIES": 1, "LEAST_SPAN": 2}
TOLERANCE = {"float32": 2e-3, "bfloat16": 3e-2}
PRODUCT_SIZE, GPU_PRODUCT_SIZE = 2048, 8192


def measure(name, what, sizes):
    """Returns the measurement that the waiting process requests, ready for JSON.

    Args:
        name: Name of a case, or "facts".
        what: "time", "memory", "agreement" (with the dense route, or with the loop of
            the contract tests), "error" (of the layer's own route against the tiled
            route) or "step" (the time of one step, early and late).
        sizes: The sizes, the dtype and the repeats of this run.
    """
    if name == cases.FACTS:
        return facts(sizes)
    case = cases.named(name, peers.mechanisms(), keras.backend.backend(), on_gpu())
    jobs = {
        "time": seconds,
        "memory": memory,
        "agreement": agreement,
        "error": error,
        "step": step_seconds,
    }
    return jobs[what](case, sizes)


def on_gpu():
    return backend.device_name() != "CPU"


def facts(sizes):
    """The facts that are the same for all cases of a run."""
    versions = {package: version(package) for package in cases.PACKAGES}
    return {
        "environment": {**machine.environment(), **versions, "dtype": sizes.dtype},
        "mechanisms": list(peers.mechanisms()),
        "linear": peers.linear_mechanisms(),
        "directed": peers.directed_mechanisms(),
        "operations_per_second": matrix_product_speed(sizes.dtype),
    }


def version(package):
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def matrix_product_speed(dtype):
    """Operations per second of one large matrix product: the limit of this machine."""
    size = GPU_PRODUCT_SIZE if on_gpu() else PRODUCT_SIZE
    x = ops.cast(keras.random.normal((size, size), seed=0), dtype)
    taken = []
    for _ in range(8):
        start = time.perf_counter()
        wait_for([ops.matmul(x, x)])
        taken.append(time.perf_counter() - start)
    return 2 * size**3 / min(taken)


def seconds(case, sizes):
    """The time of each step, in seconds."""
    step = Subject.of(case, sizes).step()
    x = sequences(sizes.length, sizes)
    warm_up(step, x)
    taken = []
    while len(taken) < sizes.repeats and sum(taken) < ENOUGH:
        start = time.perf_counter()
        wait_for(step(x))
        taken.append(time.perf_counter() - start)
    return {"seconds": taken}


def memory(case, sizes):
    """The rise of the peak above the memory held after a step on a short sequence."""
    subject = Subject.of(case, sizes)
    step = subject.step()
    # Memory that the framework allocates on first use does not count for the layer.
    wait_for(step(sequences(SHORT, sizes)))
    x = sequences(sizes.length, sizes)
    grown = peak_growth(lambda: warm_up(step, x))
    parameters = sum(math.prod(weight.shape) for weight in subject.weights())
    state = subject.state_bytes(sizes.length)
    return {"memory": grown, "parameters": parameters, "state": state}


def warm_up(step, x):
    for _ in range(WARM_UP_STEPS):
        start = time.perf_counter()
        wait_for(step(x))
        if time.perf_counter() - start > SLOW:
            break


def agreement(case, sizes):
    """Whether the layer is right on a short sequence."""
    use_exact_products()
    if case.subject not in cases.FOUNDATION:
        return {"agrees": equals_loop(peers.mechanisms()[case.subject])}
    subject = Subject.of(replace(case, forward=False, training=False), sizes)
    x = sequences(GPU_CHECKED_LENGTH if on_gpu() else CHECKED_LENGTH, sizes)
    return {"agrees": equals_dense_route(subject, x, TOLERANCE[sizes.dtype])}


def equals_loop(layer):
    """Whether a layer, also in small tiles, equals the loop of the contract tests."""
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from keras_twa.testing import checks
    from keras_twa.testing import scenarios
    from tests.contract.cases import FORKS
    from tests.contract.cases import PLAIN

    try:
        for case in (*PLAIN, *FORKS):
            if case.layer is layer:
                checks.equals_reference_in(case, scenarios.scenarios(case))
                with scenarios.route("tiled"):
                    checks.gradients_equal_reference(case)
    except AssertionError:
        return False
    return True


def equals_dense_route(subject, x, tolerance=TOLERANCE["float32"]):
    """Whether tiles (or a fused kernel) and the dense route return the same numbers."""
    with small_tiles():
        output, *gradients = subject.step()(x)
    with mock.patch.dict(subject.options, {"return_attention_scores": True}):
        dense_output, *dense_gradients = subject.step()(x)
    # Some gradients are zero except for rounding, such as that of the keys' bias, so
    # the largest sets the scale for all. Negated, so that NaN does not agree.
    return not any(
        not highest(ops.subtract(got, expected)) <= tolerance * scale
        for scale, pairs in (
            (highest(dense_output), [(output, dense_output)]),
            (
                max(map(highest, dense_gradients)),
                zip(gradients, dense_gradients, strict=True),
            ),
        )
        for got, expected in pairs
    )


@contextlib.contextmanager
def small_tiles():
    """Cuts even short sequences into tiles."""
    modules = [
        module
        for name, module in sys.modules.items()
        if name.startswith("keras_twa.ops")
    ]
    found = [
        (module, name)
        for module, name in itertools.product(modules, SMALL_TILES)
        if hasattr(module, name)
    ]
    if "TILE_ELEMENTS" not in {name for _, name in found}:
        raise LookupError("keras_twa.ops has no TILE_ELEMENTS to make tiles small")
    with contextlib.ExitStack() as patches:
        for module, name in found:
            patches.enter_context(mock.patch.object(module, name, SMALL_TILES[name]))
        yield


def error(case, sizes):
    """The largest difference between the layer's own route and the tiled route."""
    use_exact_products()
    steps = [
        Subject.of(replace(case, forward=True, positions=told), sizes).step()
        for told in (False, True)
    ]
    x = sequences(sizes.length, sizes)
    ([got], [expected]) = (step(x) for step in steps)
    return {"error": highest(ops.subtract(got, expected)) / highest(expected)}


def step_seconds(case, sizes):
    """The time of one step, early and late, if its state does not grow."""
    subject = Subject.of(replace(case, forward=True), sizes)
    if not subject.has_fixed_state():
        return {}
    step, state, done = subject.decoding_step(), None, 0
    states, found = {}, {str(position): [] for position in POSITIONS}
    for position in POSITIONS:
        state = subject.state_after(position - done, sizes, state)
        states[str(position)], done = state, position
    token = sequences(1, sizes)[:, 0]
    # In turns, so that a slow phase of the machine affects both.
    for turn in range(WARM_UP_STEPS + STEPS):
        for name, state in states.items():
            start = time.perf_counter()
            output, states[name] = step(token, state)
            wait_for([output])
            if turn >= WARM_UP_STEPS:
                found[name].append(time.perf_counter() - start)
    return {"step_seconds": found}


def highest(x):
    return float(ops.max(ops.abs(ops.cast(x, "float32"))))


def peak_growth(work):
    """The rise of the peak memory, of the device or else of this process."""
    machine.reset_peak_memory()
    before = machine.memory()
    work()
    after = machine.memory(before["peak"])
    place = "peak" if after["device_peak"] is None else "device_peak"
    return after[place] - before[place]
