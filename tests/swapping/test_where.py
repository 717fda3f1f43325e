"""Which layers are exchanged, and what is said of them."""

import keras
import pytest

import keras_twa
from keras_twa import layers
from keras_twa.swapping.places import attention_layers
from tests.swapping import models

ALL = ["shared", "block/first", "block/second", "block/third", "causal", "scored"]


def exchanged(where):
    """Return the paths of the exchanged layers."""
    swapped = keras_twa.swap_attention(models.functional(), "dot_product", where)
    found = [
        layer.path
        for layer in attention_layers(swapped)
        if isinstance(layer, layers.DotProductAttention)
    ]
    assert sorted(entry.path for entry in swapped.swap_report) == sorted(found)
    return sorted(found)


@pytest.mark.parametrize(
    ("where", "paths"),
    [
        (None, ALL),
        ("block", ["block/first", "block/second", "block/third"]),
        ("block/second", ["block/second"]),
        ("*d", ["block/second", "block/third", "scored", "shared"]),
        (["causal", "block/f*"], ["block/first", "causal"]),
        (lambda path: "/" not in path, ["causal", "scored", "shared"]),
    ],
)
def test_places(where, paths):
    assert exchanged(where) == sorted(paths)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("block/secund", r"Did you mean.*block/second.*Received: where='block/secund'"),
        (["causal", "zzz"], r"'zzz'.*Received: where="),
        (lambda path: False, r"none of.*'shared'.*Received: where="),
        (3, r"must be a path.*Received: where=3"),
        ([], r"must be a path.*Received: where=\[\]"),
    ],
)
def test_places_that_are_not_there(where, message):
    with pytest.raises(ValueError, match=message):
        keras_twa.swap_attention(models.functional(), "dot_product", where)


@pytest.mark.parametrize(
    ("model", "attention", "options", "message"),
    [
        (3, "local", {}, "must be a Keras model. Received: model=3"),
        (
            keras.Sequential([keras.layers.Dense(2)]),
            "local",
            {},
            "no attention.*Received",
        ),
        (None, "locle", {}, "Did you mean 'local'.*Received: 'locle'"),
        (None, "local", {"windo": 3}, "windo.*Received: .*windo"),
        (None, 3, {}, "Unknown attention.*Received: 3"),
        (
            None,
            keras.layers.Dense,
            {},
            "`Dense` is not attention.*Received: ",
        ),
        (None, "local", {"window": 0}, "'attention'.*window.*Received: window=0"),
    ],
)
def test_bad_input(model, attention, options, message):
    model = models.small() if model is None else model
    with pytest.raises(ValueError, match=message) as caught:
        keras_twa.swap_attention(model, attention, **options)
    assert "Received: " in str(caught.value)


def test_the_report():
    report = keras_twa.swap_attention(
        models.functional(), "temporal_weighted"
    ).swap_report
    assert len(report) == len(list(report)) == len(ALL)
    first = report[0]
    assert (first.path, first.old, first.new) == (
        "shared",
        "MultiHeadAttention",
        "temporal_weighted",
    )
    assert len(first.kept) == 8 and not first.converted
    assert {name.split("/")[0] for name in first.started} == {"temporal_function"}
    lines = str(report).splitlines()
    assert lines[0].split() == ["layer", "was", "is", "kept", "converted", "new"]
    assert sum(line.startswith("block/") for line in lines) == 3
