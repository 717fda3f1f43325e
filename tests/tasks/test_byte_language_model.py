"""The task of predicting the next byte."""

import collections

import numpy as np
import pytest

from keras_twa.datasets import imdb
from keras_twa.datasets.token_sequences import TokenSequences
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.run import run
from keras_twa.tasks import byte_language_model
from keras_twa.tasks import get
from tests.tasks.tiny import SIZES
from tests.tasks.tiny import tiny_settings
from tests.tasks.tiny import trained

NAME = "byte_language_model"
SMALL = {"max_length": 16, "num_train": 12, "num_validation": 3, "num_test": 4}


@pytest.fixture(scope="module")
def rows():
    return get(NAME).load("auto", tiny_settings(NAME, **SMALL), None)


@pytest.mark.once
def test_reviews_are_one_text():
    reviews = TokenSequences(np.array([66, 67, 68], "uint16"), np.array([2, 1]))
    end = ord("\n") + 1
    text = byte_language_model.as_text(reviews)
    assert text.tolist() == [66, 67, end, 68, end]
    assert text.dtype == "int32"


@pytest.mark.once
def test_rows_are_the_text_and_the_next_bytes(rows):
    assert rows.counts == {"train": 12, "validation": 3, "test": 4}
    assert (rows.source, rows.data) == ("sample, not IMDb", "sample")
    reviews = imdb.load_sequences("sample")
    for name, (inputs, targets, weights) in rows.splits.items():
        text = byte_language_model.as_text(getattr(reviews, name)[0])
        assert inputs.shape[1] == 16
        np.testing.assert_array_equal(inputs.ravel(), text[: inputs.size])
        np.testing.assert_array_equal(targets.ravel(), text[1 : targets.size + 1])
        assert weights is None
    # The rows are the whole text, but for an end that fills none.
    everything = tiny_settings(NAME, num_test=None, max_length=100)
    count = get(NAME).load("sample", everything, None).counts["test"]
    text = byte_language_model.as_text(reviews.test[0])
    assert count == (len(text) - 1) // 100


@pytest.mark.once
def test_data_that_fills_no_row_is_refused():
    settings = tiny_settings(NAME, max_length=10_000_000)
    with pytest.raises(ValueError, match=r"Received: max_length=10000000, \d+ bytes"):
        get(NAME).load("auto", settings, None)
    with pytest.raises(ValueError, match="nope"):
        get(NAME).load("nope", tiny_settings(NAME), None)


@pytest.mark.once
def test_baselines_are_those_of_counts(rows):
    train, test = (
        [*inputs.ravel().tolist(), int(targets[-1, -1])]
        for inputs, targets, _ in (rows.splits["train"], rows.splits["test"])
    )

    def probability(before, symbol):
        """Of a symbol after some, mixed with that after one less."""
        shorter = probability(before[1:], symbol) if before else 1 / 257
        if not before:
            counts, total = collections.Counter(train)[symbol], len(train)
            return (counts + 2 * shorter) / (total + 2)
        places = [
            i
            for i in range(len(before), len(train))
            if train[i - len(before) : i] == before
        ]
        same = sum(train[i] == symbol for i in places)
        return (same + 2 * shorter) / (len(places) + 2)

    found = get(NAME).baselines(rows)
    assert list(found) == ["1-grams", "5-grams"]
    for order, bits in zip((1, 5), found.values(), strict=True):
        each = [
            -np.log2(probability(test[i - order + 1 : i], test[i]))
            for i in range(order - 1, len(test))
        ]
        np.testing.assert_allclose(bits, np.mean(each), rtol=1e-9)


def test_a_model_is_trained_and_writes(tmp_path, monkeypatch):
    result, rows, model = trained(NAME, tmp_path, "retention", **SMALL)
    np.testing.assert_allclose(result.score, result.test["loss"] / np.log(2), rtol=1e-5)
    assert result.metric.better(0.4, 0.45)
    # Equal probabilities of all symbols have 8 bits, and some.
    assert 4 < result.score < 12
    monkeypatch.setattr(byte_language_model, "NEW_BYTES", 4)
    texts = list(byte_language_model.describe(model, rows))
    for prompt, text in zip(byte_language_model.PROMPTS, texts, strict=True):
        assert text.startswith(prompt.decode())
        assert len(text) <= len(prompt) + 4


def test_a_model_that_sees_what_it_predicts_is_refused(tmp_path):
    task = get(NAME)
    for fits in ("retention", "[local(window=3), dot_product]"):
        task.check(fits)
    for wrong in ("lsh", "[dot_product, lsh]"):
        message = "see what it predicts. Received: attention='lsh', .*`prefix_inv"
        with pytest.raises(ValueError, match=message):
            task.check(wrong)
    sizes = {**SIZES, **SMALL}
    result = run(Experiment.from_preset(NAME, "quick", "lsh", **sizes), tmp_path)
    assert result.status == "failed"
    assert "see what it predicts" in result.reason
    assert result.curve == []
