"""The only package that knows which backend runs.

Each module provides the functions of `Backend`, which `interface.py` documents. This
one selects the module, once.
"""

import importlib
from typing import TYPE_CHECKING
from typing import cast

import keras

from keras_twa import missing_backend
from keras_twa.ops.backend.interface import Backend

if TYPE_CHECKING:
    from keras_twa.ops.backend import jax
    from keras_twa.ops.backend import tensorflow
    from keras_twa.ops.backend import torch

    # So that type checkers compare the modules with the protocol.
    MODULES: tuple[Backend, ...] = (jax, tensorflow, torch)

NAME = keras.backend.backend()

if NAME not in missing_backend.BACKENDS:
    raise ImportError(missing_backend.describe(NAME, f"KERAS_BACKEND={NAME}"))
_module = cast("Backend", importlib.import_module(f"{__name__}.{NAME}"))
_module.prepare_process()

scan = _module.scan
columns = _module.columns
add_columns = _module.add_columns
add_entries = _module.add_entries
differentiable = _module.differentiable
pullback = _module.pullback
KEY_SPAN = _module.KEY_SPAN
for_queries = _module.for_queries
matmul = _module.matmul
future_bias = _module.future_bias
kept = _module.kept
keep = _module.keep
keep_only = _module.keep_only
softmax = _module.softmax
exp_difference = _module.exp_difference
softmax_gradient = _module.softmax_gradient
floored_inverse = _module.floored_inverse
layer_normalization = _module.layer_normalization
turned = _module.turned
on_gpu = _module.on_gpu
compiled = _module.compiled
known = _module.known
apply_if = _module.apply_if
switch = _module.switch
inverse = _module.inverse
array = _module.array
needs_gradient = _module.needs_gradient
fuses = _module.fuses
fused_attention = _module.fused_attention
FUSED_MASKS = _module.FUSED_MASKS
flexes = _module.flexes
flex_attention = _module.flex_attention
device_name = _module.device_name
device_peak_memory = _module.device_peak_memory
random_states = _module.random_states
set_random_states = _module.set_random_states
