"""Puts somebody else's package on the path, as `pip install` would."""

import importlib
import sys
from pathlib import Path

import pytest

from keras_twa import layers
from tests.experiments.conftest import own_cache  # noqa: F401

PACKAGES = Path(__file__).parent / "packages"


@pytest.fixture(autouse=True)
def theirs(own_registry, monkeypatch):
    """Import the package, which registers its mechanisms, for one test."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(PACKAGES)])
    package = importlib.import_module("their_attention")
    # Python imports a module once, and the last test forgot what it registered.
    layers.register("distance", package.DistanceAttention)
    layers.register("fading", package.FadingAttention)
    return package
