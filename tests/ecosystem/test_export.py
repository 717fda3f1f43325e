"""`model.export` gives artefacts that compute the same without this package."""

import keras
import numpy as np
import pytest

from keras_twa.testing import checks
from keras_twa.testing.checks.shared import functional_model
from keras_twa.testing.checks.shared import randomise_model
from keras_twa.testing.harness import assert_close
from tests.contract.cases import PLAIN

BACKEND = keras.backend.backend()
# Exporting takes seconds, and what differs is the kernel: one mechanism for each.
KERNELS = ("dot_product", "gravitational", "linear", "local")
CASES = [case for case in PLAIN if case.id.partition("-")[0] in KERNELS]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
CONVERTERS = {"tensorflow": "tf2onnx", "jax": "jax2onnx", "torch": "onnxscript"}
# What these cannot say in ONNX: a cast of bits, a triangular solve, a sort that is
# stable, the norm of root mean squares.
NOT_IN_ONNX = {
    "tensorflow": ("lsh", "gated_delta"),
    "jax": ("lsh",),
    "torch": ("lsh", "gated_delta", "forgetting"),
}
IN_ONNX = [
    pytest.param(case, marks=() if case in CASES else pytest.mark.slow, id=case.id)
    for case in PLAIN
    if case.id not in NOT_IN_ONNX[BACKEND]
]


def model_and_outputs(case, length=None):
    model = functional_model(case, length)
    randomise_model(model)
    tokens = checks.small_tokens()
    return model, tokens, model.predict(tokens, verbose=0)


@pytest.mark.skipif(
    BACKEND == "torch",
    reason="Keras writes a SavedModel from PyTorch through torch_xla only",
)
@each_case
def test_saved_model(case, tmp_path):
    tf = pytest.importorskip("tensorflow", reason="a SavedModel needs TensorFlow")
    # JAX has to know the length, by which a sequence is cut into tiles and blocks.
    length = 6 if BACKEND == "jax" else None
    model, tokens, want = model_and_outputs(case, length)
    model.export(tmp_path / "model", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for rows in (tokens, tokens[:3]):
        assert_close(loaded.serve(rows).numpy(), want[: len(rows)], "logits", 1e-4)
    if length is None:
        # What is padded changes nothing.
        padded = loaded.serve(np.pad(tokens, [(0, 0), (0, 3)])).numpy()
        assert_close(padded, want, "padded logits", 1e-4)


@pytest.mark.skipif(BACKEND != "torch", reason="a format of PyTorch's")
@each_case
def test_torch_program(case, tmp_path):
    import torch

    model, tokens, want = model_and_outputs(case, length=6)
    path = tmp_path / "model.pt2"
    signature = [keras.InputSpec(shape=tokens.shape, dtype="int32")]
    model.export(path, format="torch", input_signature=signature, verbose=False)
    program = torch.export.load(path).module()
    got = program(torch.from_numpy(tokens)).detach().numpy()
    assert_close(got, want, "logits", 1e-4)


@pytest.mark.parametrize("case", IN_ONNX)
def test_onnx(case, tmp_path):
    needed = CONVERTERS[BACKEND]
    pytest.importorskip(needed, reason=f"Keras exports to ONNX with {needed}")
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs what was exported")
    # With PyTorch, Keras exports one shape only.
    model, tokens, want = model_and_outputs(case, length=6)
    path = tmp_path / "model.onnx"
    signature = [keras.InputSpec(shape=tokens.shape, dtype="int32", name="tokens")]
    model.export(path, format="onnx", input_signature=signature, verbose=False)
    session = onnxruntime.InferenceSession(str(path))
    (found,) = session.run(None, {session.get_inputs()[0].name: tokens})
    assert_close(found, want, "logits", 1e-4)
