"""Training is the same on several devices as on one. Simulated, on JAX only."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.models import EncoderClassifier

DEVICES = 8


def losses(kind):
    """Return the losses of training a classifier, and how a kernel is split."""
    devices = keras.distribution.list_devices()
    assert len(devices) == DEVICES
    if kind == "data":
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(devices=devices)
        )
    if kind == "model":
        mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"), devices)
        distribution = keras.distribution.ModelParallel(
            layout_map=layers.get_layout_map(mesh), batch_dim_name="batch"
        )
        keras.distribution.set_distribution(distribution)
    keras.utils.set_random_seed(0)
    model = EncoderClassifier(
        9, 3, embedding_dim=16, intermediate_dim=8, dropout=0.0, activation="swiglu"
    )
    model.build((None, 6))
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        noise = rng.normal(size=variable.shape, scale=0.3).astype("float32")
        variable.assign(variable + noise)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    x, y = rng.integers(0, 9, (32, 6)), rng.integers(0, 3, 32)
    history = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    shares = {
        variable.path.split("/", 2)[2]: variable.value.addressable_shards[0].data.size
        / variable.value.size
        for variable in model.blocks[0].trainable_variables
    }
    return history.history["loss"], shares


@pytest.mark.skipif(
    keras.backend.backend() != "jax",
    reason="Keras lays models out over devices on JAX only",
)
def test_several_devices_equal_one():
    done = subprocess.run(
        [sys.executable, "-m", "tests.layers.test_layout"],
        cwd=pathlib.Path(__file__).parents[2],
        env={
            **os.environ,
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}",
            "JAX_PLATFORMS": "cpu",
        },
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    for kind in ("data", "model"):
        np.testing.assert_allclose(found[kind][0], found["one"][0], rtol=1e-4)
    assert found["one"][0][1] < found["one"][0][0]
    shares = found["model"][1]
    for name, share in {
        "attention/query/kernel": 1 / 8,
        "attention/value/bias": 1 / 4,
        "attention/attention_output/kernel": 1 / 8,
        "feed_forward/expand/kernel": 1 / 8,
        "feed_forward/gate/kernel": 1 / 8,
        "feed_forward/project/kernel": 1 / 8,
        "attention_norm/gamma": 1,
    }.items():
        assert shares[name] == share, f"{name}: {shares}"


def test_refuses_a_mesh_without_such_an_axis():
    mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
    with pytest.raises(ValueError, match="Received:"):
        layers.get_layout_map(mesh, model_parallel_dim_name="heads")


if __name__ == "__main__":
    print(json.dumps({kind: losses(kind) for kind in ("one", "data", "model")}))
