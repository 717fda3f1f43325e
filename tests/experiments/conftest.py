"""A cache of its own, in this process and those it starts, and a preset of seconds."""

import os

import pytest

from keras_twa import tasks
from keras_twa.experiments import config
from tests.experiments.tiny import SIZES


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    before = os.environ.get("KERAS_HOME")
    os.environ["KERAS_HOME"] = str(tmp_path_factory.mktemp("keras_home"))
    yield
    if before is None:
        del os.environ["KERAS_HOME"]
    else:
        os.environ["KERAS_HOME"] = before


@pytest.fixture
def tiny_quick(monkeypatch):
    """Shrinks the preset `quick` of ListOps to seconds, in this process."""
    settings = config.preset_settings("listops", "quick", **SIZES | {"epochs": 1})
    monkeypatch.setitem(tasks.get("listops").presets, "quick", settings)
