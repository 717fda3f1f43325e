"""What mechanisms can do: a matrix of their scores on probes."""

from keras_twa.probing.matrix import CapabilityMatrix
from keras_twa.probing.probe import probe

__all__ = ["CapabilityMatrix", "probe"]
