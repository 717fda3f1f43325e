"""Every public kernel takes B = 0, T = 0 and S = 0, known beforehand or not."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import ops as kernels
from keras_twa.masks import AttentionMask
from keras_twa.ops.softmax.biases import LagPenalty
from keras_twa.ops.softmax.distances import Manhattan
from keras_twa.ops.softmax.sparse_patterns import Strided
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal

HEADS, DIM, VALUE_DIM = 2, 4, 3
# B, T and S.
SIZES = ((0, 3, 5), (2, 0, 5), (2, 3, 0), (2, 0, 0), (0, 0, 0))
# What is exported and is no kernel: scores, and what is made of each step alone.
OTHERS = {
    *("Force", "ForceByDistance", "InnerProduct", "LagLine", "PairBias"),
    *("TimeWeight", "WeightDropout"),
    *("biased", "earlier_real", "inner_product"),
    *("inverse_laplace", "lag", "log_softplus", "previous_real", "rotary_rates"),
    *("rotate", "squared_distance", "times_of", "unit"),
}
CAUSAL = AttentionMask(causal=True)
PER_HEAD = normal(HEADS, DIM)
BLOCK_WEIGHTS = {
    "lag_bias": normal(2, HEADS),
    **{name: normal(3, 6) for name in ("initial", "ids")},
    **{
        f"{name}_kernel": normal(6, HEADS, DIM)
        for name in ("query", "step_query", "key")
    },
    "value_kernel": normal(6, HEADS, VALUE_DIM),
    "candidate_kernel": normal(HEADS, 2 * VALUE_DIM, 6),
    "keep_logits": normal(6),
}


def as_tensors(nest):
    """Return a nest of tensors."""
    return keras.tree.map_structure(ops.convert_to_tensor, nest)


def tiled(q, k, v, **options):
    """Call the tiled kernel with a table over lags."""
    count = ops.shape(q)[1] + ops.shape(k)[1] - 1
    count = max(count, 0) if isinstance(count, int) else ops.maximum(count, 0)
    lags = {"fade": ops.ones((HEADS, count))}

    def score(query, key):
        return kernels.inner_product(query["query"], key["key"]) * query["fade"]

    return kernels.tiled_attention(
        score, {"query": q}, {"key": k}, v, lags=lags, **options
    )


def biased(q, k, v, **options):
    """Call dot-product attention with a bias of pairs."""
    queries, keys = (kernels.times_of(None, ops.shape(x)[1])[..., None] for x in (q, k))
    query = {"time": queries, "slope": ops.ones_like(queries)}
    bias = kernels.PairBias(LagPenalty(), query, {"time": keys})
    return kernels.dot_product_attention(q, k, v, pair_bias=bias, **options)


def discounted(q, k, v, **options):
    """Call discounted attention with one timescale."""
    return kernels.discounted_attention(
        kernels.InnerProduct(),
        {"query": q},
        {"key": k},
        v,
        ops.convert_to_tensor([-0.5], "float32"),
        **options,
    )


def with_gravity(q, k, v, force, **options):
    """Call the tiled kernel with a force."""
    masses = (ops.zeros_like(x[..., :1]) for x in (q, k))
    query, key = force.prepare(q, k, *masses)
    return kernels.tiled_attention(force, query, key, v, **options)


def with_line(q, k, v, **options):
    """Call the tiled kernel with weights on a line over lags."""

    def carried(x):
        times = kernels.times_of(None, ops.shape(x)[1])
        zeros = ops.zeros_like(ops.cast(x[..., 0], "float32"))
        times = zeros + ops.cast(times, "float32")[..., None]
        return {"time": times, "line_offset": zeros, "line_slope": zeros}

    return kernels.tiled_attention(
        kernels.LagLine(kernels.TimeWeight(2.0)),
        {"query": q, **carried(q)},
        {"key": k, **carried(k)},
        v,
        **options,
    )


def kernel(name, *more, **chosen):
    """Return a kernel of queries, keys and values with its further arguments."""

    def attend(q, k, v, **options):
        parameters = as_tensors(more)
        return getattr(kernels, name)(q, k, v, *parameters, **chosen, **options)

    return attend


PAIRS = {
    "tiled_attention": tiled,
    "tiled_attention, forces": lambda *a, **o: with_gravity(
        *a, kernels.Force(2.0, 0.5), **o
    ),
    "tiled_attention, by distance": lambda *a, **o: with_gravity(
        *a, kernels.ForceByDistance(Manhattan(), 2.0, 0.5), width=DIM, **o
    ),
    "tiled_attention, line over lags": with_line,
    "discounted_attention": discounted,
    "discounted_attention, known": lambda *a, **o: discounted(*a, discounts=[0.6], **o),
    "dot_product_attention": kernel("dot_product_attention"),
    "dot_product_attention, sink": kernel("dot_product_attention", sink=PER_HEAD[:, 0]),
    "dot_product_attention, bias": biased,
    "additive_attention": kernel("additive_attention", PER_HEAD),
    "local_attention": kernel("local_attention", window=2),
    "near_attention": kernel("near_attention", window=2),
    "blocked_attention": kernel("blocked_attention", pattern=Strided(2), block_size=2),
    "relative_attention": lambda q, k, v, mask=CAUSAL, **o: kernels.relative_attention(
        q, k, v, *as_tensors((PER_HEAD, PER_HEAD, normal(4, HEADS, DIM))), mask, **o
    ),
}
CROSS = {
    **PAIRS,
    "forgetting_attention": lambda q, k, v: kernels.forgetting_attention(
        q, k, v, -k[..., 0], CAUSAL
    ),
    "linear_attention": lambda q, k, v: kernels.linear_attention(q, k, v)[0],
    "linear_attention, causal": lambda q, k, v: kernels.linear_attention(
        q, k, v, CAUSAL
    )[0],
    "performer_attention": lambda q, k, v: kernels.performer_attention(
        q, k, v, ops.convert_to_tensor(normal(DIM, 5)), AttentionMask()
    )[0],
}


def pair(state):
    """Return the state of linear attention, if there is one."""
    return None if state["memory"] is None else (state["memory"], state["by"])


# Those of one sequence: functions of heads and a state, to outputs and the next state.
RECURRENT = {
    "linear_attention": lambda x, v, s: kernels.linear_attention(
        ops.exp(x), ops.exp(x), v, CAUSAL, pair(s)
    ),
    "log_linear_attention": lambda x, v, s: kernels.log_linear_attention(
        x, x, v, CAUSAL, pair(s)
    ),
    "performer_attention": lambda x, v, s: kernels.performer_attention(
        x, x, v, ops.convert_to_tensor(normal(DIM, DIM)), CAUSAL, s["memory"], s["by"]
    ),
    "retention": lambda x, v, s: kernels.retention(
        x, x, v, CAUSAL, (-0.5, -0.1), timed(x), s["wide"], s["last"]
    ),
    "multi_timescale_retention": lambda x, v, s: kernels.multi_timescale_retention(
        *(x, x, v, CAUSAL, ops.convert_to_tensor([-0.5], "float32"), timed(x), None),
        s["scales"],
        s["last"],
    ),
    "gated_delta": lambda x, v, s: kernels.gated_delta(
        x, kernels.unit(x), v, CAUSAL, -ops.exp(x[..., :1]), x[..., :1], s["wide"]
    ),
    "gated_linear": lambda x, v, s: kernels.gated_linear(
        x, x, v, CAUSAL, -ops.exp(x), s["wide"]
    ),
    "state_space": lambda x, v, s: kernels.state_space(
        x[:, :, :1], x[:, :, :1], v, CAUSAL, -ops.exp(x[..., :1]), s["wide"]
    ),
    "delta_product": lambda x, v, s: kernels.delta_product(
        x,
        *(ops.stack([y, y], axis=3) for y in (kernels.unit(x), v)),
        *(CAUSAL, -ops.exp(x[..., :1]), ops.sigmoid(x[..., :2]), s["wide"]),
    ),
    "generalized_delta_rule": lambda x, v, s: kernels.generalized_delta_rule(
        x, x, v, -ops.sigmoid(x), kernels.unit(x), ops.sigmoid(x), CAUSAL, s["wide"]
    ),
    "wkv": lambda x, v, s: kernels.wkv(
        x, x, *as_tensors((abs(PER_HEAD), PER_HEAD)), CAUSAL, s["sums"], s["maximum"]
    ),
    "lsh_attention": lambda x, v, s: (
        kernels.lsh_attention(x, v, ops.convert_to_tensor(normal(2, HEADS, DIM, 2)), 2),
    ),
    "block_recurrent_attention": lambda x, v, s: kernels.block_recurrent_attention(
        *(x, x, x, v, 2, as_tensors(BLOCK_WEIGHTS), "fixed", None, s["blocks"])
    ),
}
# What each of them takes of the state.
HELD = {
    "linear_attention": ("memory", "by"),
    "log_linear_attention": ("memory", "by"),
    "performer_attention": ("memory", "by"),
    "retention": ("wide", "last"),
    "multi_timescale_retention": ("scales", "last"),
    "gated_delta": ("wide",),
    "gated_linear": ("wide",),
    "state_space": ("wide",),
    "delta_product": ("wide",),
    "generalized_delta_rule": ("wide",),
    "wkv": ("sums", "maximum"),
    "lsh_attention": (),
    "block_recurrent_attention": ("blocks",),
}


def timed(x):
    """Return the times of steps after those of a state."""
    return kernels.times_of(None, ops.shape(x)[1]) + 9.0


def a_state(batch):
    """Return what all recurrent kernels hold of earlier steps."""
    return {
        "memory": abs(normal(batch, HEADS, DIM, VALUE_DIM + 1)),
        "by": normal(batch, HEADS, DIM),
        "wide": normal(batch, HEADS, DIM, VALUE_DIM),
        "scales": normal(batch, HEADS, DIM, 1, VALUE_DIM),
        "last": np.full((batch,), 8.0, "float32"),
        "sums": abs(normal(batch, 2, HEADS, DIM)),
        "maximum": normal(batch, HEADS, DIM),
        "blocks": {
            "count": np.full((batch,), 3, "int32"),
            "states": normal(batch, 3, 6),
            "key": normal(batch, 3, HEADS, DIM),
            "value": normal(batch, 3, HEADS, VALUE_DIM),
        },
    }


def compiled(function, *widths):
    """Compile a function of `(B, T, H, D)` for each width D.

    TensorFlow compiles it once, for unknown batches and lengths.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "torch":
        return function
    import tensorflow as tf

    signature = [tf.TensorSpec((None, None, HEADS, width)) for width in widths]
    return tf.function(function, input_signature=signature)


def inputs(batch, queries, keys):
    """Return a query, a key and a value."""
    shapes = ((queries, DIM), (keys, DIM), (keys, VALUE_DIM))
    return [
        ops.convert_to_tensor(abs(normal(batch, length, HEADS, width)))
        for length, width in shapes
    ]


def test_every_kernel_is_here():
    names = {name.partition(",")[0] for name in [*CROSS, *RECURRENT]}
    assert names == {*kernels.__all__} - OTHERS
    assert HELD.keys() == RECURRENT.keys()


@pytest.mark.parametrize("name", CROSS)
def test_no_queries_or_keys(name):
    attend = compiled(CROSS[name], DIM, DIM, VALUE_DIM)
    for batch, queries, keys in SIZES:
        output = harness.to_numpy(attend(*inputs(batch, queries, keys)))
        assert output.shape == (batch, queries, HEADS, VALUE_DIM)
        assert np.isfinite(output).all()
        if keys == 0:
            assert not output.any()


@pytest.mark.parametrize("name", PAIRS)
def test_weights(name):
    for batch, queries, keys in SIZES:
        masks = {
            "queries": ops.ones((batch, queries), "bool"),
            "keys": ops.ones((batch, keys), "bool"),
            "pairs": ops.ones((1, HEADS, queries, keys), "bool"),
        }
        mask = AttentionMask(causal=True, **masks)
        options = {"mask": mask, "return_weights": True}
        output, weights = PAIRS[name](*inputs(batch, queries, keys), **options)
        assert tuple(output.shape) == (batch, queries, HEADS, VALUE_DIM)
        assert tuple(weights.shape) == (batch, HEADS, queries, keys)


@pytest.mark.parametrize(
    ("batch", "length"),
    [
        pytest.param(0, 3, marks=pytest.mark.full),
        (2, 0),
        pytest.param(0, 0, marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("name", RECURRENT)
def test_no_steps(name, batch, length):
    state = as_tensors(a_state(batch))
    x, _, value = inputs(batch, length, length)

    def call(x, value):
        return RECURRENT[name](x, value, state)

    output, *after = compiled(call, DIM, VALUE_DIM)(x, value)
    # Some return the parts of their state one by one, others together.
    after = [x for one in after for x in (one if isinstance(one, tuple) else [one])]
    assert tuple(output.shape[:2]) == (batch, length)
    before = [state[key] for key in HELD[name]]
    assert len(keras.tree.flatten(after)) == len(keras.tree.flatten(before))
    for got, want in zip(map(named, after), map(named, before), strict=True):
        assert got.keys() == want.keys()
        for key, x in got.items():
            assert tuple(x.shape) == tuple(want[key].shape)
            if length == 0:
                np.testing.assert_array_equal(
                    ops.convert_to_numpy(x), ops.convert_to_numpy(want[key])
                )


def named(x):
    """Return a part of a state as a dictionary."""
    return x if isinstance(x, dict) else {"": x}


@pytest.mark.parametrize("name", RECURRENT)
def test_a_state_to_begin_with(name):
    # Without one, there is one of the right size.
    empty = dict.fromkeys(a_state(2))
    x, _, value = inputs(2, 0, 0)
    output, *after = RECURRENT[name](x, value, empty)
    assert tuple(output.shape[:2]) == (2, 0)
    after = [x for x in keras.tree.flatten(after) if x is not None]
    assert all(x.shape[0] == 2 for x in after)


def test_the_last_real_step():
    x = ops.convert_to_tensor(normal(2, 0, 3))
    before = ops.convert_to_tensor(normal(2, 3))
    shifted, last = kernels.previous_real(x, ops.ones((2, 0), "bool"), before)
    assert tuple(shifted.shape) == (2, 0, 3)
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (last, before)))


def test_a_missing_argument_is_named():
    with pytest.raises(TypeError, match="value"):
        kernels.dot_product_attention(ops.ones((1, 2, 1, 3)), ops.ones((1, 2, 1, 3)))
