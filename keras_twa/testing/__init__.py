"""The contract tests of attention layers, for layers of your own.

`check_attention` checks that a layer keeps all promises of the layers of this package.
"""

from keras_twa.testing.check_attention import check_attention

__all__ = ["check_attention"]
