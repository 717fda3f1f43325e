"""The command that says how far parts are from the whole finds what is wrong."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import streaming

from keras_twa import layers

pytestmark = [pytest.mark.full, pytest.mark.once]


@pytest.mark.parametrize("name", ["dot_product", "retention"])
def test_parts_are_near_the_whole(name):
    found = streaming.errors(name, length=12)
    assert found.keys() == {"chunks", "steps"}
    assert max(found.values()) < 1e-5


def test_a_state_that_is_lost_shows(monkeypatch):
    class Forgets(layers.RetentionAttention):
        def __call__(self, *arguments, initial_state=None, **options):
            return super().__call__(*arguments, **options)

    monkeypatch.setattr(layers, "get", lambda name, **options: Forgets(**options))
    assert min(streaming.errors("retention", length=12).values()) > 0.01
