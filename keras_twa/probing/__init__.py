"""What mechanisms can do: a matrix of their scores on probes."""

from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    from keras_twa.probing.matrix import CapabilityMatrix
    from keras_twa.probing.run import probe

__all__ = ["CapabilityMatrix", "probe"]


def __getattr__(name: str) -> Any:
    # `probe` needs Keras, which takes seconds to import, and reports do not.
    if name == "probe":
        from keras_twa.probing.run import probe

        return probe
    if name == "CapabilityMatrix":
        from keras_twa.probing.matrix import CapabilityMatrix

        return CapabilityMatrix
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
