"""The only folder that knows which backend runs.

Each module offers the same few functions; this one picks the module, once.
"""

import keras

if keras.backend.backend() == "torch":
    from keras_twa.ops.backend.torch import fused_attention, map_blocks
elif keras.backend.backend() == "jax":
    from keras_twa.ops.backend.jax import fused_attention, map_blocks
elif keras.backend.backend() == "tensorflow":
    from keras_twa.ops.backend.tensorflow import fused_attention, map_blocks
else:
    raise ValueError(
        "keras_twa runs on the tensorflow, jax and torch backends of Keras. "
        f"Received: KERAS_BACKEND={keras.backend.backend()}"
    )

__all__ = ["fused_attention", "map_blocks"]
