"""How a call of an attention layer resolves its arguments."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.attention.facts import Facts

X = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
TIMES = np.array([0.0, 1.0, 4.0, 5.0, 9.0], "float32")
FACTS = [name for name in vars(Facts) if not name.startswith("_")]


def compiled(function):
    """Return a function that the running backend compiles."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    import torch

    return torch.compile(function, backend="eager")


@pytest.fixture
def attend():
    """Return a built layer that uses times and supports cross-attention."""
    layer = layers.TemporalWeightedAttention(2, 4)
    layer.build(X.shape)
    return layer


def test_equal_but_distinct_tensors_need_times_of_both(attend):
    with pytest.raises(ValueError, match=r"key_positions.*Received: query_positions"):
        attend(X, X.copy(), query_positions=TIMES)
    for value in (None, X):
        attend(X, value, query_positions=TIMES)
    attend(X, X.copy(), query_positions=TIMES, key_positions=TIMES)


def test_two_arguments_of_a_compiled_function_are_two_tensors(attend):
    tensors = [ops.convert_to_tensor(x) for x in (X, X)]

    @compiled
    def call(query, value):
        return attend(query, value, query_positions=ops.convert_to_tensor(TIMES))

    # Dynamo wraps exceptions that are raised during compilation.
    with pytest.raises(Exception, match="pass `key_positions` too"):
        call(*tensors)


def test_one_argument_of_a_compiled_function_is_one_tensor(attend):
    @compiled
    def call(x):
        return attend(x, x, query_positions=ops.convert_to_tensor(TIMES))

    found = call(ops.convert_to_tensor(X))
    expected = attend(X, query_positions=TIMES)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-5
    )


def test_symbolic_calls_refuse_the_same(attend):
    query, value = keras.Input((5, 8)), keras.Input((5, 8))
    with pytest.raises(ValueError, match="pass `key_positions` too"):
        attend(query, value, query_positions=keras.Input((5,)))


@pytest.mark.parametrize("mechanism", layers.ATTENTION_LAYERS)
def test_facts_are_those_of_the_class(mechanism):
    layer = mechanism(num_heads=2, key_dim=4)
    layer(X)
    assert {"causality", "position_bias"} < {*FACTS}
    assert [name for name in FACTS if name in vars(layer)] == []


@pytest.mark.parametrize("mechanism", layers.ATTENTION_LAYERS)
def test_no_method_comes_back_from_an_ancestor(mechanism):
    # Methods of base classes are inherited, never assigned.
    for family in mechanism.__mro__[: mechanism.__mro__.index(Attention)]:
        for name, member in vars(family).items():
            if callable(member) and hasattr(member, "__qualname__"):
                assert member.__qualname__.startswith(family.__name__), name
