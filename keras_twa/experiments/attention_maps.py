"""The attention weights of a trained model for one example, on disk."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_twa import files

ATTENTION_MAPS = "attention.npz"
MAP_SIZE = 64


def save_attention_maps(model: Any, data: Any, path: Path) -> None:
    """Saves the attention weights for one example, at most 64 x 64 numbers."""
    tokens = getattr(data, "example", None)
    if tokens is None or not getattr(model, "has_attention_scores", False):
        return
    layers = model.attention_scores(tokens[None].astype("int32"))
    maps = {
        f"layer{index}": shrink(np.asarray(scores)[0]).astype("float16")
        for index, scores in enumerate(layers)
    }
    symbols = np.array(data.symbols(tokens))
    files.write_arrays(path, {"symbols": symbols, **maps}, compress=True)


def shrink(maps: np.ndarray, size: int = MAP_SIZE) -> np.ndarray:
    """Returns maps of shape `(heads, T, S)` averaged down to at most `size`."""
    for axis in (1, 2):
        length = maps.shape[axis]
        if length > size:
            edges = np.linspace(0, length, size, endpoint=False).astype("int64")
            counts = np.diff(np.append(edges, length))
            shape = [1, 1, 1]
            shape[axis] = size
            maps = np.add.reduceat(maps, edges, axis) / counts.reshape(shape)
    return maps
