"""ListOps: labels, statistics, reproducibility, caching, bad arguments."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from keras_twa.datasets import listops

pytestmark = pytest.mark.once

QUICK = {"min_length": 1, "max_length": 65, "max_depth": 4, "max_args": 5}
# Percentages of the labels in the released files.
RELEASED_CLASSES = (17.0, 9.0, 7.6, 8.5, 9.0, 8.4, 7.7, 7.3, 8.6, 16.7)
# Lengths below which these parts of an independently generated set lie.
LENGTH_QUANTILES = {0.25: 718, 0.5: 985, 0.75: 1315, 0.95: 1800}


@pytest.fixture(scope="module")
def long_rows(tmp_path_factory):
    """Rows of the benchmark's own size, from a folder used for nothing else."""
    folder = tmp_path_factory.mktemp("listops")
    (x, y), _, _ = listops.load_sequences(8000, 10, 10, cache_dir=folder)
    return x, y


def stack_machine(symbols):
    """Evaluates from right to left, where an operator meets its arguments."""
    stack = []
    for symbol in reversed(symbols):
        if not symbol.startswith("["):
            stack.append(symbol)
            continue
        arguments = []
        while stack[-1] != "]":
            arguments.append(int(stack.pop()))
        stack.pop()
        result = {
            "[MIN": min(arguments),
            "[MAX": max(arguments),
            "[MED": int(np.median(arguments)),
            "[SM": sum(arguments) % 10,
        }[symbol]
        stack.append(str(result))
    (value,) = stack
    return int(value)


def depth(symbols):
    steps = [s.startswith("[") - (s == "]") for s in symbols]
    return np.cumsum(steps).max()


def same(first, second):
    return all(
        np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize(
    "limits", [{}, QUICK, {"min_length": 5, "max_length": 40, "max_args": 2}]
)
def test_labels_equal_independent_evaluator(tmp_path, limits):
    splits = listops.load_data(300, 50, 50, seed=3, cache_dir=tmp_path, **limits)
    for x, y in splits:
        assert x.dtype == y.dtype == np.int32
        for tokens, label in zip(x, y, strict=True):
            source = listops.decode(tokens)
            assert stack_machine(source.split()) == label
            assert listops.evaluate(source) == label


def test_limits_hold_and_are_reached(tmp_path):
    (x, _), _, _ = listops.load_sequences(20_000, 10, 10, cache_dir=tmp_path, **QUICK)
    assert x.lengths.min() == 4
    assert 56 <= x.lengths.max() <= 64
    sources = [listops.decode(row).split() for row in x[:3000]]
    assert {depth(source) for source in sources} == {1, 2, 3}
    assert all(source[0].startswith("[") for source in sources)


def test_lengths_like_the_benchmark(long_rows):
    x, _ = long_rows
    assert x.lengths.min() > 500
    assert x.lengths.max() < 2000
    assert x.lengths.mean() == pytest.approx(1048, abs=25)
    for part, length in LENGTH_QUANTILES.items():
        assert np.mean(x.lengths <= length) == pytest.approx(part, abs=0.03)


def test_classes_like_the_released_files(long_rows):
    _, y = long_rows
    counts = np.bincount(y, minlength=10)
    expected = np.array(RELEASED_CLASSES) / sum(RELEASED_CLASSES) * len(y)
    assert stats.chisquare(counts, expected).pvalue > 0.001


def test_nine_nested_operators_all_symbols_uniform(long_rows):
    x, _ = long_rows
    assert {depth(listops.decode(row).split()) for row in x[:200]} == {9}
    counts = np.bincount(x.tokens, minlength=17)
    assert counts[0] == counts[16] == 0
    assert counts[15] == counts[11:15].sum()
    # Tokens of one expression are not independent, hence no exact test.
    assert np.ptp(counts[1:11]) < 0.02 * counts[1:11].mean()
    assert np.ptp(counts[11:15]) < 0.05 * counts[11:15].mean()


def test_no_expression_twice_and_splits_alike(tmp_path):
    splits = listops.load_sequences(9000, 3000, 3000, cache_dir=tmp_path, **QUICK)
    rows = [row.tobytes() for x, _ in splits for row in x]
    assert len(set(rows)) == len(rows) == 15_000
    train, _, test = (x.lengths for x, _ in splits)
    assert stats.ks_2samp(train, test).pvalue > 0.001


def test_workers_do_not_matter_and_seeds_do(tmp_path):
    def load(folder, **kwargs):
        return listops.load_data(
            2000, 100, 100, cache_dir=tmp_path / folder, **QUICK, **kwargs
        )

    one = load("one", workers=1)
    assert same(one, load("three", workers=3))
    assert not same(one, load("other", seed=1))


def test_hash_seed_does_not_matter(tmp_path):
    code = (
        "import hashlib, sys; from keras_twa.datasets import listops;"
        "s = listops.load_data(400, 50, 50, cache_dir=sys.argv[1]);"
        "print(hashlib.md5(b''.join(a.tobytes() for p in s for a in p)).hexdigest());"
        "assert 'keras' not in sys.modules"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / hash_seed)],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1234")
    }
    assert len(outputs) == 1


def test_cache_is_used_and_a_broken_one_replaced(tmp_path, monkeypatch):
    def load():
        return listops.load_data(50, 5, 5, cache_dir=tmp_path, **QUICK)

    first = load()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-400])
    assert same(first, load())
    monkeypatch.setattr(listops, "_generate", None)
    assert same(first, load())
    assert list(tmp_path.iterdir()) == [file]


def test_unwritable_cache_is_no_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    (x, _), _, _ = listops.load_data(9, 1, 1, cache_dir=tmp_path / "file", **QUICK)
    assert x.shape == (9, 64)


def test_progress_ends_complete(tmp_path):
    calls = []
    listops.load_data(
        3000, 5, 5, cache_dir=tmp_path, progress=lambda *call: calls.append(call)
    )
    assert calls[-1] == (3010, 3010)
    assert calls == sorted(calls)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_train": 0},
        {"num_test": -1},
        {"num_validation": 1.5},
        {"seed": -1},
        {"max_depth": 0},
        {"max_args": 1},
        {"min_length": -1},
        {"min_length": 10, "max_length": 11},
        {"workers": 0},
    ],
)
def test_bad_arguments(tmp_path, arguments):
    with pytest.raises(ValueError, match="Received: "):
        listops.load_data(**arguments, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_too_few_expressions(tmp_path):
    with pytest.raises(ValueError, match="only 10 different"):
        listops.load_data(
            50, 1, 1, min_length=0, max_length=9, max_depth=1, cache_dir=tmp_path
        )
