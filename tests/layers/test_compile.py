"""Compiled layers on each backend give the same numbers, and compile once.

JAX and TensorFlow compile a whole step with XLA, gradients included. PyTorch compiles
the call and its gradient with "aot_eager": all of `torch.compile` except generating
kernels, which needs a C++ compiler. There, a layer with the fused kernel is one graph.
A tiled layer is a graph before and a graph after the loop over tiles, which a compiler
would unroll (see `ops/backend/torch.py`).
"""

import contextlib
import functools
from unittest import mock

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.layers.registry import name_of
from keras_twa.ops import WeightDropout
from keras_twa.ops import backend
from keras_twa.ops import dot_product_attention
from keras_twa.ops.softmax import tile_keys
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask
from keras_twa.testing.scenarios import route
from tests.few import MECHANISMS

BACKEND = keras.backend.backend()
NAMES = [name_of(layer) for layer in layers.ATTENTION_LAYERS]
# PyTorch takes up to a minute for each: all others are marked `slow` there.
QUICK = ("dot_product", "temporal_weighted", "linear", "transformer_xl")
LEAST_QUERIES = tile_keys.LEAST_QUERIES
# Options that use other code paths.
FORKS = [("rwkv", {"version": 7})]
FUSED = ("dot_product", "temporal_weighted", "transformer_xl")
LENGTH, WIDTH, ROUNDS = 8, 6, 3
# Blocks so small that the sequence has more than one.
OPTIONS = {"block_recurrent": {"block_size": 3, "num_states": 2}}


def made(name, **options):
    """Return a small layer."""
    options = {**OPTIONS.get(name, {}), **options}
    return layers.get(name, num_heads=2, key_dim=4, **options)


@contextlib.contextmanager
def small_tiles(fuses=False):
    """Cut each row into two tiles of queries, without mocks that compilers cannot
    trace.

    Args:
        fuses: Whether the backend's own kernel may be used.
    """
    fuses = backend.fuses if fuses else lambda *_: False
    with (
        route("tiled", tile_elements=4 * LENGTH),
        mock.patch.object(tile_keys, "LEAST_QUERIES", LEAST_QUERIES),
        mock.patch.object(backend, "fuses", fuses),
        mock.patch.object(backend, "flexes", lambda *_: False),
    ):
        yield


class Steps:
    """A function with its gradients, eager and compiled, and the number of its traces.

    Args:
        function: Takes the weights and tensors, and returns a tensor.
        weights: Function without arguments that returns the current weights.
        floats: Number of tensors to differentiate by: the first ones.
        one_graph: Whether PyTorch must compile it to one graph.
    """

    def __init__(self, function, weights, floats, one_graph=False):
        self.function = function
        self.weights = weights
        self.floats = floats
        self.one_graph = one_graph
        self.traces = 0
        make = {"jax": self._jax, "tensorflow": self._tensorflow, "torch": self._torch}
        self.eager, self.compiled = make[BACKEND]()

    def loss(self, output):
        """Weigh all outputs differently."""
        return ops.sum(output * ops.convert_to_tensor(normal(*output.shape, seed=20)))

    def _jax(self):
        import jax

        def loss(leaves, rest):
            output = self.function(*leaves, *rest)
            return self.loss(output), output

        def traced(*arguments):
            self.traces += 1
            return graded(*arguments)

        def step(graded, *arrays):
            leaves = [self.weights(), *arrays[: self.floats]]
            (_, output), (weights, *inputs) = graded(leaves, arrays[self.floats :])
            return [output, *weights, *inputs]

        graded = jax.value_and_grad(loss, has_aux=True)
        return (
            functools.partial(step, graded),
            functools.partial(step, jax.jit(traced)),
        )

    def _tensorflow(self):
        import tensorflow as tf

        def step(*tensors):
            leaves = [*self.weights(), *tensors[: self.floats]]
            with tf.GradientTape() as tape:
                tape.watch(leaves)
                output = self.function(self.weights(), *tensors)
                loss = self.loss(output)
            return [output, *tape.gradient(loss, leaves)]

        def compiled(*arrays):
            results = function(*map(tf.convert_to_tensor, arrays))
            self.traces = function.experimental_get_tracing_count()
            return results

        function = tf.function(step, jit_compile=True)
        return lambda *arrays: step(*map(tf.convert_to_tensor, arrays)), compiled

    def _torch(self):
        import torch

        def step(function, *arrays):
            tensors = [torch.tensor(x) for x in arrays]
            for tensor in tensors[: self.floats]:
                tensor.requires_grad_()
            leaves = [*self.weights(), *tensors[: self.floats]]
            output = function(self.weights(), *tensors)
            return [output, *torch.autograd.grad(self.loss(output), leaves)]

        def compiled(*arrays):
            results = step(function, *arrays)
            self.traces = torch._dynamo.utils.counters["stats"]["unique_graphs"]
            return results

        # Discard other functions, as PyTorch limits the number of compiled ones.
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        function = torch.compile(
            self.function, backend="aot_eager", fullgraph=self.one_graph
        )
        return functools.partial(step, self.function), compiled


def check(steps, rounds):
    """Check that compiled steps equal eager ones, and only the first one is traced."""
    traces = []
    for number, arrays in enumerate(rounds):
        eager = [harness.to_numpy(x) for x in steps.eager(*arrays)]
        compiled = [harness.to_numpy(x) for x in steps.compiled(*arrays)]
        for place, (want, got) in enumerate(zip(eager, compiled, strict=True)):
            scale = max(1.0, np.abs(want).max())
            what = f"result {place} of round {number}"
            harness.assert_close(got / scale, want / scale, what)
        traces.append(steps.traces)
    assert len(set(traces)) == 1, f"traced again: {traces}"
    if BACKEND != "torch" or steps.one_graph:
        assert traces[0] == 1


def call_of(layer):
    """Return a layer's call as a function of weights, two inputs and their mask."""

    def call(weights, query, value, mask):
        masks = {"query_mask": mask, "value_mask": mask, "use_causal_mask": True}
        inputs = [query, value] if layer.cross_attention else [query + value]
        if BACKEND == "jax":
            states = [v.value for v in layer.non_trainable_variables]
            return layer.stateless_call(weights, states, *inputs, **masks)[0]
        return layer(*inputs, **masks)

    return call


def marked(name, options):
    """Return a test parameter, marked if it takes long."""
    slow = BACKEND == "torch" and (options or name not in QUICK)
    marks = [pytest.mark.slow] if slow else []
    if options or name not in MECHANISMS:
        marks.append(pytest.mark.full)
    return pytest.param(name, options, marks=marks)


@pytest.mark.parametrize(
    "name, options",
    [marked(*found) for found in (*((name, {}) for name in NAMES), *FORKS)],
)
def test_layer_equals_itself_compiled(name, options):
    layer = made(name, **options)
    layer.build((None, None, WIDTH), (None, None, WIDTH))

    def rounds():
        for seed in range(ROUNDS):
            harness.randomise(layer, seed)
            yield (
                normal(2, LENGTH, WIDTH, seed=seed),
                normal(2, LENGTH, WIDTH, seed=10 + seed),
                random_mask(2, LENGTH, seed=seed),
            )

    def weights():
        return [v.value for v in layer.trainable_variables]

    with small_tiles(fuses=True):
        check(Steps(call_of(layer), weights, 2, name in FUSED), rounds())


def test_dropout_equals_itself_compiled():
    def attend(_, query, key, value, seed):
        dropout = WeightDropout(0.25, seed)
        return dot_product_attention(query, key, value, dropout=dropout)

    rounds = [
        (
            *(normal(1, LENGTH, 2, 4, seed=3 * i + j) for j in range(3)),
            np.array([i, 7], "int32"),
        )
        for i in range(ROUNDS)
    ]
    with small_tiles():
        check(Steps(attend, list, 3), rounds)


@pytest.mark.skipif(
    BACKEND == "torch",
    reason="Inductor, all that Keras compiles with there, takes minutes for this model",
)
@pytest.mark.parametrize(
    "names",
    [MECHANISMS, pytest.param(NAMES, marks=[pytest.mark.full, pytest.mark.everywhere])],
    ids=["a few", "all"],
)
def test_fit_compiles_once(names):
    traces, after_batch = [], []

    class Watched(keras.Sequential):
        def train_step(self, *arguments, **options):
            traces.append(1)
            return super().train_step(*arguments, **options)

    model = Watched([made(name) for name in names])
    model.compile("sgd", "mse", jit_compile=True)
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: after_batch.append(len(traces))
    )
    x, y = normal(8, LENGTH, WIDTH), normal(8, LENGTH, WIDTH, seed=1)
    with small_tiles():
        model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[callback])
    # All traces happen in the first batch.
    assert len(after_batch) == 4
    assert after_batch == after_batch[:1] * 4
