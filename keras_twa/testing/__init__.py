"""The contract of attention layers, for layers of your own.

`check_attention` holds a layer to all that the layers of this package promise.
"""

from keras_twa.testing.check_attention import check_attention

__all__ = ["check_attention"]
