"""BLEU equals sacrebleu on the whole corpus, however it came."""

import itertools
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa.training import BLEU

REFERENCES = [
    "The cat sat on the mat, and slept.",
    "It's 12:30 already; where is everyone?",
    "One two three four five six.",
    "no",
    "A dog barked at the other dog in the yard.",
]
HYPOTHESES = [
    "The cat sat on a mat and slept.",
    "It is 12:30; where is everyone?",
    "One two three five four six.",
    "",
    "A dog barked at the dog in the yard yesterday.",
]


def library():
    return pytest.importorskip("sacrebleu", reason="BLEU is computed by sacrebleu")


def tokens(seed, rows=6, length=12):
    """Return references and hypotheses as tokens, of which many agree."""
    rng = np.random.default_rng(seed)
    references = rng.integers(1, 30, size=(rows, length)).astype("int32")
    hypotheses = np.where(rng.random((rows, length)) < 0.2, 31, references)
    references[0, 8:] = 0
    hypotheses[1, 6:] = 0
    return references, hypotheses.astype("int32")


def spelled(row):
    """Return a row of tokens as words."""
    return " ".join(f"w{token}" for token in row if token)


@pytest.mark.parametrize("tokenize", ["13a", "char", "none"])
@pytest.mark.parametrize("cuts", [(), (1,), (2, 3)])
def test_equals_the_library_on_strings(tokenize, cuts):
    sacrebleu = library()
    metric = BLEU(tokenize=tokenize)
    for first, last in zip((0, *cuts), (*cuts, None), strict=True):
        metric.update_state(REFERENCES[first:last], HYPOTHESES[first:last])
    want = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], tokenize=tokenize)
    assert metric.result() == pytest.approx(want.score, abs=1e-9)
    assert 0 < want.score < 100


@pytest.mark.parametrize("form", ["array", "tensor", "lists"])
def test_equals_the_library_on_tokens(form):
    sacrebleu = library()
    metric = BLEU()
    pairs = [tokens(seed) for seed in range(3)]
    for pair in pairs:
        if form == "tensor":
            pair = [ops.convert_to_tensor(x) for x in pair]
        elif form == "lists":
            pair = [[[t for t in row if t] for row in x.tolist()] for x in pair]
        metric.update_state(*pair)
    words = [[spelled(row) for pair in pairs for row in pair[side]] for side in (0, 1)]
    want = sacrebleu.corpus_bleu(words[1], [words[0]], tokenize="none")
    assert metric.result() == pytest.approx(want.score, abs=1e-9)
    assert 0 < want.score < 100


def in_bytes(sentences, form):
    """Return sentences as bytes, in a list, an array or a tensor of TensorFlow."""
    if form == "tensor":
        tensorflow = pytest.importorskip("tensorflow")
        return tensorflow.constant(sentences)
    found = [sentence.encode() for sentence in sentences]
    return found if form == "list" else np.array(found)


@pytest.mark.parametrize("form", ["list", "array", "tensor"])
def test_reads_bytes_as_strings(form):
    library()
    if form == "tensor" and keras.backend.backend() != "tensorflow":
        pytest.skip("Other backends have no tensors of strings.")
    found, want = BLEU(), BLEU()
    references = [sentence.replace("cat", "chât") for sentence in REFERENCES]
    want.update_state(references, HYPOTHESES)
    found.update_state(in_bytes(references, form), in_bytes(HYPOTHESES, form))
    assert found.result() == want.result()


def several(of_tokens, form="lists"):
    """Return one to three references for each hypothesis, and the hypotheses."""
    if not of_tokens:
        others = [[h.lower()] * (i % 3) for i, h in enumerate(HYPOTHESES)]
        references = [[r, *o] for r, o in zip(REFERENCES, others, strict=True)]
        return references, HYPOTHESES
    references, hypotheses = tokens(0)
    array = np.zeros((len(references), 3, 12), "int32")
    array[:, 0] = references
    array[2:, 1] = np.where(np.arange(12) % 5 == 4, 32, hypotheses[2:])
    array[4, 2] = hypotheses[4]
    if form == "array":
        return array, hypotheses
    if form == "tensor":
        return ops.convert_to_tensor(array), ops.convert_to_tensor(hypotheses)
    lists = [[[t for t in row if t] for row in rows] for rows in array.tolist()]
    return [[row for row in rows if row] for rows in lists], hypotheses.tolist()


@pytest.mark.parametrize("form", ["lists", "array", "tensor"])
@pytest.mark.parametrize("of_tokens", [False, True])
def test_several_references_equal_the_library(of_tokens, form):
    sacrebleu = library()
    references, hypotheses = several(of_tokens, form)
    metric = BLEU()
    metric.update_state(references[:2], hypotheses[:2])
    metric.update_state(references[2:], hypotheses[2:])
    references, hypotheses = several(of_tokens)
    if of_tokens:
        references = [[spelled(row) for row in rows] for rows in references]
        hypotheses = [spelled(row) for row in hypotheses]
    columns = list(itertools.zip_longest(*references))
    tokenize = "none" if of_tokens else "13a"
    want = sacrebleu.corpus_bleu(hypotheses, columns, tokenize=tokenize)
    assert metric.result() == pytest.approx(want.score, abs=1e-9)
    first = sacrebleu.corpus_bleu(hypotheses, columns[:1], tokenize=tokenize)
    assert want.score > first.score


def test_lists_of_one_reference_are_references():
    library()
    for references, hypotheses in ((REFERENCES, HYPOTHESES), tokens(0)):
        one, nested = BLEU(), BLEU()
        one.update_state(references, hypotheses)
        nested.update_state([[given] for given in references], hypotheses)
        assert nested.result() == one.result() > 0


def test_rises_and_forgets():
    library()
    metric = BLEU()
    assert metric.result() == 0.0
    metric.update_state(REFERENCES, REFERENCES)
    assert metric.result() == pytest.approx(100.0)
    metric.update_state(["one two three four"], ["five six seven eight"])
    assert metric.result() < 99
    metric.reset_state()
    assert metric.result() == 0.0
    metric.update_state([], [])
    assert metric.result() == 0.0


def test_a_callback_adds_it_to_the_history():
    library()

    class Validation(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            metric = BLEU()
            metric.update_state(REFERENCES, HYPOTHESES)
            logs["val_bleu"] = metric.result()

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    ones = np.ones((2, 1))
    history = model.fit(ones, ones, callbacks=[Validation()], verbose=0).history
    assert 0 < history["val_bleu"][0] < 100


def test_keeps_its_arguments():
    library()
    metric = BLEU("char", padding_token=-1, name="mine")
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert copy.get_config() == metric.get_config()


@pytest.mark.parametrize("arguments", [{"tokenize": "12b"}, {"padding_token": None}])
def test_refuses_bad_arguments(arguments):
    with pytest.raises(ValueError, match="Received:"):
        BLEU(**arguments)


@pytest.mark.parametrize(
    "sentences",
    [
        ("one sentence", "another one"),
        (["a b"], ["a b", "c d"]),
        (["a b"], [[1, 2]]),
        (["a b", [1, 2]], ["a b", "c d"]),
        ([1, 2], [1, 2]),
        # One list for each hypothesis, not one for each translator.
        ([["a b", "c d", "e"]], ["a b", "c d", "e"]),
        ([["a b"], ["c d"]], ["a b"]),
        ([["a b"], []], ["a b", "c d"]),
        ([["a b", [1, 2]]], ["a b"]),
        ([[["a b"]]], ["a b"]),
        (["a b"], [["a b"]]),
        ([[[1, 2], [3]]], [[[1, 2], [3]]]),
        (np.ones((2, 3)), np.ones((2, 3))),
        (np.ones((2, 3), int), np.full((2, 3), 1.5)),
    ],
)
def test_refuses_what_it_cannot_compare(sentences):
    library()
    with pytest.raises(ValueError, match="Received:"):
        BLEU().update_state(*sentences)


def test_says_what_to_install(monkeypatch):
    for name in ("sacrebleu", "sacrebleu.metrics"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"keras-twa\[bleu\]"):
        BLEU()
