"""Packed rows: every token is there once, rows are full, and labels follow."""

import numpy as np
import pytest

from keras_twa.datasets import next_tokens
from keras_twa.datasets import pack

pytestmark = pytest.mark.once


def some_sequences(seed, number=60, longest=16):
    """Return sequences of random lengths whose tokens are all different."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, number)
    return np.split(np.arange(1, 1 + lengths.sum()), lengths.cumsum()[:-1])


def least_rows(lengths, length):
    """Return a lower bound of the rows that sequences need."""
    bounds = [-(-sum(lengths) // length)]
    # No two of the sequences that are longer than half a row fit together; nor does a
    # shorter one beside those that leave too little room.
    for small in range(length // 2 + 1):
        large = [n for n in lengths if n > length - small]
        middle = [n for n in lengths if small <= n <= length - small]
        alone = [n for n in middle if 2 * n > length]
        room = sum(length - n for n in alone)
        others = sum(middle) - sum(alone) - room
        bounds.append(len(large) + len(alone) + max(0, -(-others // length)))
    return max(bounds)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("max_segments", [None, 3])
def test_each_sequence_is_one_segment(seed, max_segments):
    sequences = some_sequences(seed)
    packed = pack(sequences, 20, max_segments)
    tokens, ids, positions = packed
    for number, sequence in enumerate(sequences):
        (at,) = np.nonzero(tokens[packed.row_of[number]] == sequence[0])
        place = packed.row_of[number], slice(at[0], at[0] + len(sequence))
        np.testing.assert_array_equal(tokens[place], sequence)
        assert (ids[place] == packed.segment_of[number]).all()
        np.testing.assert_array_equal(positions[place], np.arange(len(sequence)))
    # All tokens differ, so none is there twice.
    assert (tokens != 0).sum() == sum(map(len, sequences))
    np.testing.assert_array_equal(ids != 0, tokens != 0)
    assert not positions[ids == 0].any()
    for row in ids:
        real = row[row != 0]
        assert len(real) and row[: len(real)].all(), "padding is behind"
        assert (np.diff(real) >= 0).all()
        assert set(real) == {*range(1, real.max() + 1)}
    assert ids.max() == packed.max_segments <= (max_segments or 20)


@pytest.mark.parametrize("seed", range(20))
def test_there_are_few_rows(seed):
    rng = np.random.default_rng(seed)
    sequences = some_sequences(seed, number=200, longest=int(rng.integers(3, 31)))
    rows = len(pack(sequences, 30).tokens)
    assert rows <= 11 / 9 * least_rows([*map(len, sequences)], 30) + 1


@pytest.mark.parametrize("seed", range(5))
def test_each_goes_to_the_first_row_with_room(seed):
    sequences = some_sequences(seed)
    packed = pack(sequences, 20)
    used = []
    for number in sorted(range(len(sequences)), key=lambda i: -len(sequences[i])):
        size = len(sequences[number])
        fits = [row for row, steps in enumerate(used) if steps + size <= 20]
        row = fits[0] if fits else len(used)
        used += [0] * (row == len(used))
        used[row] += size
        assert packed.row_of[number] == row


def test_the_result_is_always_the_same():
    first, second = (pack(some_sequences(0), 20) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == "int32"


def test_many_sequences():
    lengths = np.random.default_rng(0).integers(1, 65, 25_000)
    sequences = np.split(np.ones(lengths.sum(), "uint8"), lengths.cumsum()[:-1])
    tokens, _, _ = pack(sequences, 64)
    assert tokens.sum() == lengths.sum()
    assert tokens.mean() > 0.99


def test_features():
    series = [np.full((n, 2), n + 0.5) for n in (3, 5, 2)]
    features, ids, positions = pack(series, 5)
    assert features.dtype == "float32"
    np.testing.assert_array_equal(
        features[..., 1], [[5.5] * 5, [3.5, 3.5, 3.5, 2.5, 2.5]]
    )
    np.testing.assert_array_equal(ids, [[1] * 5, [1, 1, 1, 2, 2]])
    np.testing.assert_array_equal(positions, [[0, 1, 2, 3, 4], [0, 1, 2, 0, 1]])


def test_labels_go_with_their_sequences_and_back():
    sequences = some_sequences(1)
    packed = pack(sequences, 20)
    given = np.arange(10, 10 + len(sequences))
    labels, weights = packed.labels(given, max_segments=21)
    assert labels.shape == weights.shape == (len(packed.tokens), 21)
    assert weights.sum() == len(sequences)
    for row, segment in zip(*np.nonzero(labels), strict=True):
        (steps,) = np.nonzero(packed.segment_ids[row] == segment + 1)
        first = packed.tokens[row, steps[0]]
        assert sequences[labels[row, segment] - 10][0] == first
    np.testing.assert_array_equal(packed.unpack(labels), given)
    assert packed.labels(given)[0].shape[1] == packed.max_segments
    one_hot, _ = packed.labels(np.eye(len(sequences)))
    np.testing.assert_array_equal(packed.unpack(one_hot), np.eye(len(sequences)))


def test_next_tokens_stay_in_their_segment():
    sequences = some_sequences(2)
    packed = pack(sequences, 20)
    targets, weights = next_tokens(packed.tokens, packed.segment_ids)
    assert weights.sum() == sum(len(sequence) - 1 for sequence in sequences)
    found = {
        int(token): int(target)
        for token, target in zip(packed.tokens.ravel(), targets.ravel(), strict=True)
    }
    for sequence in sequences:
        wanted = [*sequence[1:].tolist(), 0]
        assert [found[int(token)] for token in sequence] == wanted
    np.testing.assert_array_equal(weights, targets != 0)
    # A last step that is full, and a token of 0 that is real.
    targets, weights = next_tokens([[5, 0, 3, 4]], [[2, 2, 2, 1]])
    assert targets.tolist() == [[0, 3, 0, 0]]
    assert weights.tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (([], 4), "none"),
        (([[1], []], 4), "0 steps, number 1"),
        (([[1], [1, 2, 3, 4, 5]], 4), "length=4, a sequence of 5 steps, number 1"),
        (([[1]], 0), "length=0"),
        (([[1]], 2.5), "length=2.5"),
        (([[1]], 4, 0), "max_segments=0"),
        (([[1], np.ones((2, 3))], 4), r"\(1,\) and \(2, 3\)"),
        (([np.ones((2, 4)), np.ones((2, 3))], 4), r"\(2, 4\) and \(2, 3\)"),
        (([3, 4], 4), r"\(\) and \(\)"),
        (([[True]], 4), "bool"),
        ((["text"], 4), r"\(\) and \(\)"),
        (([[2**31]], 4), "2147483648"),
    ],
)
def test_refuses_what_it_cannot_pack(arguments, hint):
    with pytest.raises(ValueError, match=f"Received: .*{hint}"):
        pack(*arguments)


def test_refuses_labels_and_outputs_that_do_not_fit():
    packed = pack([[1, 2], [3], [4]], 4)
    for call in (
        lambda: packed.labels([1, 2]),
        lambda: packed.labels([1, 2, 3], max_segments=2),
        lambda: packed.unpack(np.zeros((1, 2))),
        lambda: packed.unpack(np.zeros((2, 3))),
        lambda: packed.unpack(np.zeros(1)),
        lambda: next_tokens([[1, 2]], [[1]]),
        lambda: next_tokens([1, 2], [1, 1]),
    ):
        with pytest.raises(ValueError, match="Received:"):
            call()
