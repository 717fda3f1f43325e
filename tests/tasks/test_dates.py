"""The task of translating dates, or the sentences of a file."""

import datetime
import itertools

import numpy as np
import pytest

from keras_twa.datasets import text_pairs
from keras_twa.datasets.dates import phrasings
from keras_twa.tasks import dates
from keras_twa.tasks import get
from keras_twa.tasks.array_rows import ArrayRows
from tests.tasks.tiny import tiny_settings
from tests.tasks.tiny import trained

NAME = "dates"


@pytest.fixture(scope="module")
def rows():
    return get(NAME).load("auto", tiny_settings(NAME), None)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pairs.txt"
    lines = [f"number {n}\tnombre {n}\tCC-BY" for n in range(60)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def pairs(rows, split):
    """The texts of a split, whose inputs and targets must fit."""
    inputs, targets, weights = rows.splits[split]
    assert weights is None
    assert (inputs["target"][:, 0] == text_pairs.START).all()
    np.testing.assert_array_equal(
        inputs["target"][:, 1:] * (inputs["target"][:, 1:] != text_pairs.END),
        targets[:, :-1] * (targets[:, :-1] != text_pairs.END),
    )
    return [
        (text_pairs.decode(source), text_pairs.decode(target))
        for source, target in zip(inputs["source"], targets, strict=True)
    ]


@pytest.mark.once
def test_rows_are_dates_in_words_and_in_digits(rows):
    assert rows.counts == {"train": 32, "validation": 8, "test": 8}
    assert (rows.source, rows.data) == ("generated dates", "generated")
    found = {name: pairs(rows, name) for name in rows.splits}
    for source, target in itertools.chain(*found.values()):
        assert source in phrasings(datetime.date.fromisoformat(target))
    days = [target for part in found.values() for _, target in part]
    assert len(set(days)) == 48
    short = tiny_settings(NAME, max_length=20)
    with pytest.raises(ValueError, match=r"to 60 bytes\. Received: max_length=20"):
        get(NAME).load("auto", short, None)


@pytest.mark.once
def test_rows_are_the_pairs_of_a_file(file):
    everything = {"num_train": None, "num_validation": None, "num_test": None}
    whole = get(NAME).load(str(file), tiny_settings(NAME, **everything), None)
    assert whole.counts == {"train": 54, "validation": 3, "test": 3}
    assert (whole.source, whole.data) == ("pairs in pairs.txt", str(file))
    found = [pair for name in whole.splits for pair in pairs(whole, name)]
    assert sorted(found) == sorted((f"number {n}", f"nombre {n}") for n in range(60))
    # Some of them, from everywhere in the file.
    settings = tiny_settings(NAME, num_train=20)
    few = pairs(get(NAME).load(str(file), settings, None), "train")
    assert len(few) == 20
    places = [pairs(whole, "train").index(pair) for pair in few]
    assert places == sorted(places)
    assert places[-1] > 30
    with pytest.raises(ValueError, match="nope"):
        get(NAME).load("nope", settings, None)


@pytest.mark.once
def test_the_baseline_is_that_of_loops(rows, monkeypatch):
    # Several blocks of sources.
    monkeypatch.setattr(dates, "SOURCES_AT_ONCE", 3)
    (inputs, targets, _), (asked, wanted, _) = (
        rows.splits[name] for name in ("train", "test")
    )

    def counts(row):
        found = np.zeros(dates.HASHES)
        for a, b, c in zip(row, row[1:], row[2:], strict=False):
            found[(a * 961 + b * 31 + c) % dates.HASHES] += c > 0
        return found / np.linalg.norm(found)

    known = [counts(row) for row in inputs["source"].tolist()]
    copies = [
        targets[np.argmax([counts(row) @ each for each in known])]
        for row in asked["source"].tolist()
    ]
    np.testing.assert_array_equal(dates.copied(rows, asked["source"]), copies)
    right = np.mean([(a == b).all() for a, b in zip(copies, wanted, strict=True)])
    assert get(NAME).baselines(rows) == {"copy of the nearest": right}


@pytest.mark.once
def test_copies_of_the_nearest_are_near():
    source = text_pairs.encode(["one two three", "four five six"])
    target = text_pairs.encode(["1 2 3", "4 5 6"], markers=True)
    split = ({"source": source, "target": target[:, :-1]}, target[:, 1:], None)
    rows = ArrayRows(dict.fromkeys(("train", "validation", "test"), split))
    asked = text_pairs.encode(["four five", "two three"], length=13)
    found = [text_pairs.decode(row) for row in dates.copied(rows, asked)]
    assert found == ["4 5 6", "1 2 3"]
    # These are the pairs themselves.
    assert get(NAME).baselines(rows) == {"copy of the nearest": 1.0}


def test_texts_that_are_right_are_those_of_greedy_search(rows):
    settings = tiny_settings(NAME)
    model = get(NAME).build_model("local(window=4)", settings, rows)
    inputs, _, _ = rows.splits["train"]
    written = model.generate(inputs["source"], 9, text_pairs.START, text_pairs.END)
    # A third of the references differ, each at another place.
    references = written.copy()
    for row in range(0, len(written), 3):
        references[row, row % written.shape[1]] = 7
    right = (references == written).all(axis=1).mean()
    assert 0.5 < right < 0.8
    starts = np.full((len(written), 1), text_pairs.START, "int32")
    given = np.concatenate([starts, references[:, :-1]], axis=1)
    model.compile(loss=dates.loss(), weighted_metrics=dates.metrics())
    teacher_forced = {"source": inputs["source"], "target": given}
    found = model.evaluate(teacher_forced, references, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["texts_right"], right, rtol=1e-6)


def test_a_model_is_trained_and_translates(tmp_path):
    _, rows, model = trained(NAME, tmp_path, "retention")
    first, *others = dates.describe(model, rows)
    assert first.startswith("copy of the nearest: 0.0 % of 8 texts right, ")
    names = [line.partition(":")[0] for line in others[:2]]
    assert names == ["greedy", "beam of 4"]
    shown = [text for text, _ in pairs(rows, "test")[:3]]
    assert [line.partition("\n  -> ")[0] for line in others[2:]] == shown


@pytest.mark.full
def test_a_model_is_trained_on_the_pairs_of_a_file(tmp_path, file):
    _, rows, model = trained(NAME, tmp_path / "runs", data=str(file))
    lines = list(dates.describe(model, rows))
    assert lines[-1].startswith("number ")


@pytest.mark.once
def test_what_is_right_is_counted():
    text = dates.compared(["1982-03-04", "1982-03-0"], ["1982-03-04"] * 2, "char")
    assert text.startswith("50.0 % of 2 texts right, 95.0 % of their characters, BLEU ")


@pytest.mark.once
def test_attention_that_sees_later_bytes_is_refused():
    with pytest.raises(ValueError, match="Received: attention='lsh'"):
        get(NAME).check("[dot_product, lsh]")
