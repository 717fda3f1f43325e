"""Streams in segments: nothing is lost, and rows go on."""

import numpy as np
import pytest

from keras_twa.datasets import cut_into_segments

pytestmark = pytest.mark.once


def rows(array, batch_size):
    """Return each row of all batches, one after the other."""
    batches = array.reshape(-1, batch_size, *array.shape[1:])
    return np.swapaxes(batches, 0, 1).reshape(batch_size, -1)


def test_a_stream_is_cut_into_rows():
    stream = np.arange(1, 32)
    inputs, targets, weights = cut_into_segments(stream, 3, 4)
    real = rows(weights, 3) > 0
    for row in range(3):
        part = stream[10 * row : 10 * row + 10]
        np.testing.assert_array_equal(rows(inputs["tokens"], 3)[row][:9], part[:-1])
        np.testing.assert_array_equal(rows(targets, 3)[row][:9], part[1:])
        np.testing.assert_array_equal(real[row], np.arange(12) < 9)
    assert inputs["begins"].tolist() == [True] * 3 + [False] * 6
    assert inputs["tokens"].dtype == targets.dtype == "int32"


def test_each_document_begins_a_segment():
    lengths = (9, 2, 5, 14, 6)
    documents = [100 * i + np.arange(n) for i, n in enumerate(lengths, 1)]
    inputs, targets, weights = cut_into_segments(documents, 2, 4)
    tokens, targets, real = (
        rows(x, 2) for x in (inputs["tokens"], targets, weights > 0)
    )
    begins = rows(inputs["begins"][:, None], 2)
    for document in documents:
        row, place = np.nonzero(real & (targets // 100 == document[0] // 100))
        np.testing.assert_array_equal(tokens[row, place], document[:-1])
        np.testing.assert_array_equal(targets[row, place], document[1:])
        assert len(set(row)) == 1
        np.testing.assert_array_equal(place - place[0], np.arange(len(place)))
        first, last = place[0] // 4, place[-1] // 4
        assert place[0] % 4 == 0
        np.testing.assert_array_equal(
            begins[row[0], first : last + 1], np.arange(last + 1 - first) == 0
        )
    assert real.sum() == sum(lengths) - len(lengths)
    # In turn, to the row that has the fewest segments: 2 + 4 and 1 + 1 + 2.
    assert tokens[:, 0].tolist() == [100, 200]
    assert begins.shape == (2, 6)
    # What no document fills remembers nothing.
    assert begins[1, 4:].all()


@pytest.mark.parametrize(
    "arguments",
    [
        (np.arange(9), 0, 4),
        (np.arange(9), 2, 0),
        (np.arange(5), 3, 4),
        ([], 2, 4),
        ([np.arange(5), np.arange(1)], 2, 4),
    ],
)
def test_refuses_what_it_cannot_cut(arguments):
    with pytest.raises(ValueError, match="Received:"):
        cut_into_segments(*arguments)
