"""What happens as soon as Keras is imported, whoever imports it.

`import keras_twa` alone imports no backend. So it cannot tell Keras which classes saved
models may name, nor find out that the backend is missing. Python's import system asks
the finder below for Keras, and it does both then.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from keras_twa import missing_backend


class KerasFinder(MetaPathFinder):
    """Lets the other finders find Keras, and adds what is to follow its import."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((found for found in specs if found is not None), None)
        if spec is not None and spec.loader is not None:
            self._follow(spec.loader)
        return spec

    def _follow(self, loader) -> None:
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            loader.exec_module = run
            try:
                run(module)
            except (ImportError, ValueError):
                message = missing_backend.explain()
                if message is None:
                    raise
                raise ImportError(message) from None
            sys.meta_path.remove(self)
            _register()

        loader.exec_module = exec_module


def prepare() -> None:
    """Registers the classes with Keras, now or when it is imported."""
    if sys.modules.get("keras") is not None:
        _register()
    else:
        sys.meta_path.insert(0, KerasFinder())


def _register() -> None:
    from keras_twa import saved_classes

    saved_classes.register()
