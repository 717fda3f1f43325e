"""Times that layers would misread are refused, and others are not."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.datasets import check_times

UNIX = 1_700_000_000 + np.arange(0, 600, 30)[None]
X = np.ones((1, 20, 6), "float32")
WRONG = {
    "integers": (UNIX, "Subtract the first"),
    "float64": (UNIX.astype("float64"), "Subtract the first"),
    "float32": (UNIX.astype("float32"), "Subtract the first"),
    "float32, 128 apart": (
        (1_700_000_000 + 128 * np.arange(20)[None]).astype("float32"),
        "Subtract the first",
    ),
    "half precision": ((4000 + np.arange(20)[None]).astype("float16"), "Subtract"),
    "milliseconds": (UNIX * 1000, "Subtract the first"),
    "dates": (UNIX.astype("datetime64[s]"), "timedelta64"),
    "ages": (UNIX.astype("timedelta64[s]"), "timedelta64"),
    "not finite": (np.where(UNIX[0, 3] == UNIX, np.nan, 0.0), "finite"),
}
RIGHT = {
    "seconds": UNIX - UNIX[:, :1],
    "one row": np.arange(20),
    "whole numbers that float32 has": 10_000_000 + np.arange(20.0)[None],
    "at once": np.zeros((1, 20)),
    "days, by the second": np.sort(np.linspace(0, 2e9, 20))[None],
    "falling": -np.arange(20.0),
    "empty": np.zeros((0, 20)),
}


@pytest.mark.parametrize("name", WRONG)
def test_refuses(name):
    times, words = WRONG[name]
    with pytest.raises(ValueError, match=f"{words}.*Received: times"):
        check_times(times)


@pytest.mark.parametrize("name", RIGHT)
def test_accepts(name):
    check_times(RIGHT[name])


def test_refuses_times_that_fall():
    check_times([0, 0, 1], may_fall=False)
    with pytest.raises(ValueError, match=r"fall.*Received: times with 1 after 2"):
        check_times([0, 2, 1], may_fall=False)


def test_times_go_on_after_those_before():
    check_times([[1, 2], [5, 6]], may_fall=False, after=[1, 4])
    with pytest.raises(ValueError, match=r"fall.*Received: times with 5 after 7"):
        check_times([[1, 2], [5, 6]], may_fall=False, after=[1, 7])


def test_refuses_a_mask_of_another_shape():
    with pytest.raises(ValueError, match=r"Received: times of .*mask of shape"):
        check_times(np.zeros((2, 5)), np.ones((2, 4), "bool"))


def test_looks_at_real_steps_only():
    mask = np.arange(20)[None] < 15
    times = np.where(mask, np.arange(20), np.nan)
    check_times(times, mask, may_fall=False)
    with pytest.raises(ValueError, match="finite"):
        check_times(times)


def layer(name, **options):
    """Return a layer that uses times."""
    return layers.get(name, num_heads=2, key_dim=4, **options)


@pytest.mark.parametrize("name", [name for name in WRONG if name != "half precision"])
@pytest.mark.parametrize("mechanism", ["temporal_weighted", "retention", "dot_product"])
def test_layers_refuse(mechanism, name):
    times, _ = WRONG[name]
    with pytest.raises(ValueError, match="Received: query_positions"):
        layer(mechanism)(X, query_positions=times)


@pytest.mark.parametrize("name", ["seconds", "one row", "at once"])
def test_layers_accept(name):
    layer("retention")(X, query_positions=RIGHT[name])
    layer("retention")(X, query_positions=RIGHT[name].tolist())


def test_layers_refuse_keys_times():
    attend = layer("temporal_weighted")
    with pytest.raises(ValueError, match="Received: key_positions"):
        attend(X, X.copy(), query_positions=np.arange(20.0), key_positions=UNIX)


@pytest.mark.parametrize("name", ["retention", "multi_timescale_retention"])
def test_layers_refuse_times_that_fall(name):
    attend, falling = layer(name), np.arange(20.0)
    falling[7] = 2.0
    with pytest.raises(ValueError, match="must not fall"):
        attend(X, query_positions=falling)
    # Where it is padding, nobody looks.
    mask = np.arange(20)[None] != 7
    attend(X, query_positions=falling, query_mask=mask)
    _, state = attend(X, query_positions=np.arange(20.0), return_state=True)
    with pytest.raises(ValueError, match="must not fall"):
        attend.step(X[:, 0], state, position=np.array([3.0]))
    layer("temporal_weighted")(X, query_positions=falling)


@pytest.mark.parametrize("block", [layers.TransformerEncoder(8, 2, "retention")])
def test_blocks_refuse(block):
    for name in ("float32", "dates", "milliseconds"):
        with pytest.raises(ValueError, match="Received: "):
            block(X, positions=WRONG[name][0])


def test_a_compiled_function_does_not_look():
    attend = layer("temporal_weighted")
    inputs = keras.Input((20, 6)), keras.Input((20,))
    outputs = attend(inputs[0], inputs[0], query_positions=inputs[1])
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() == "jax")
    if keras.backend.backend() != "torch":
        times = UNIX.astype("float32")
        assert np.isfinite(model.train_on_batch([X, times], X))
    assert ops.shape(model([X, RIGHT["seconds"].astype("float32")])) == X.shape
