"""The only folder that knows which backend runs.

Each module offers the same few functions; this one picks the module, once.
"""

import importlib

import keras

NAME = keras.backend.backend()

if NAME not in ("tensorflow", "jax", "torch"):
    raise ValueError(
        "keras_twa runs on the tensorflow, jax and torch backends of Keras. "
        f"Received: KERAS_BACKEND={NAME}"
    )
_module = importlib.import_module(f"{__name__}.{NAME}")

# `None` where the backend has no kernel that beats the tiled one.
fused_attention = _module.fused_attention
map_blocks = _module.map_blocks
device_name = _module.device_name
device_peak_memory = _module.device_peak_memory
