"""Attention mechanisms for Keras 3, on TensorFlow, JAX and PyTorch."""

from keras_twa.version import __version__

__all__ = ["__version__"]
