"""A GPU where there is none: the backend's kernels run, in their slow forms.

That is PyTorch's FlexAttention without compiling it, and JAX's attention without cuDNN.
"""

import contextlib
import importlib
from unittest import mock

import keras
from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.softmax import fused
from keras_twa.ops.softmax import tiled

BACKEND = keras.backend.backend()
HAS_GPU = backend.on_gpu(ops.zeros(1))
BATCH, HEADS, LENGTH, WIDTH = 2, 2, 140, 6


@contextlib.contextmanager
def device(gpu):
    """Answer the question for the device; let kernels run that want a GPU."""
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(backend, "on_gpu", lambda x: gpu))
        if BACKEND == "torch":
            # It refuses gradients on a CPU, and can compute them all the same.
            check = "torch.nn.attention.flex_attention._validate_device"
            patches.enter_context(mock.patch(check))
        if BACKEND == "jax" and not HAS_GPU:
            module = importlib.import_module("keras_twa.ops.backend.jax")
            patches.enter_context(mock.patch.object(module, "FUSED_KERNEL", "xla"))
        yield


@contextlib.contextmanager
def watched():
    """Note which routes are taken."""
    ways = []

    def watching(real):
        def route(*arguments, **options):
            ways.append(real(*arguments, **options))
            return ways[-1]

        return route

    with (
        mock.patch.object(fused, "route", watching(fused.route)),
        mock.patch.object(tiled, "route", watching(tiled.route)),
    ):
        yield ways
