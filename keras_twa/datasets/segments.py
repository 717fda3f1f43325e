"""Long token streams as segments, for models that remember from batch to batch."""

import numpy as np


def cut_into_segments(streams, batch_size, segment_length):
    """Cuts token streams into batches whose rows go on from one to the next.

    Row `b` of batch `n` is number `n * batch_size + b` of the arrays: the order of
    `fit` without shuffling. There, the tokens of a document follow one another, segment
    after segment, and each document begins with a segment of its own. Documents go to
    the rows in turn, each to the one that has the fewest segments so far.

    Args:
        streams: Either one stream, an array of tokens: it is cut into `batch_size`
            equal parts, and a remainder left out. Or a list of such arrays, the
            documents. Token 0 is padding.
        batch_size: Number of rows.
        segment_length: Tokens of a segment.

    Returns:
        `(inputs, targets, weights)`, all arrays of as many segments. `inputs` is a
        dictionary: "tokens", int32 `(segments, segment_length)`, and "begins", boolean
        `(segments,)`, `True` where a document begins. `targets` are the tokens that
        follow, and `weights`, float32, are 0 where there is none.

    Raises:
        ValueError: If a size is not positive, or there are not two tokens for each row
            or document.

    Example:

    >>> inputs, targets, weights = cut_into_segments([1, 2, 3, 4, 5, 6, 7, 8], 2, 2)
    >>> inputs["tokens"].tolist()
    [[1, 2], [5, 6], [3, 0], [7, 0]]
    >>> targets.tolist()
    [[2, 3], [6, 7], [4, 0], [8, 0]]
    >>> inputs["begins"].tolist()
    [True, True, False, False]
    """
    sizes = {"batch_size": batch_size, "segment_length": segment_length}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"`{name}` must be positive. Received: {name}={size!r}")
    documents = _documents(streams, batch_size)
    if not documents or min(len(document) for document in documents) < 2:
        raise ValueError(
            "Each document, or each of the equal parts of a stream, must have two "
            "tokens at least: one, and one that follows. Received: lengths "
            f"{[len(document) for document in documents]}"
        )
    rows = _deal(documents, batch_size, segment_length)
    shape = (max(count for _, count in rows), batch_size, segment_length)
    tokens, targets = np.zeros(shape, "int32"), np.zeros(shape, "int32")
    weights, begins = np.zeros(shape, "float32"), np.zeros(shape[:2], "bool")
    for row, (dealt, _) in enumerate(rows):
        first = 0
        for document in dealt:
            pairs = len(document) - 1
            end = first + _segments(document, segment_length)
            for array, values in (
                (tokens, document[:-1]),
                (targets, document[1:]),
                (weights, np.ones(pairs)),
            ):
                padded = np.pad(values, (0, (end - first) * segment_length - pairs))
                array[first:end, row] = padded.reshape(-1, segment_length)
            begins[first, row] = True
            first = end
        # What no document fills remembers nothing either.
        begins[first:, row] = True
    inputs = {"tokens": tokens.reshape(-1, segment_length), "begins": begins.ravel()}
    flat = (-1, segment_length)
    return inputs, targets.reshape(flat), weights.reshape(flat)


def _documents(streams, batch_size):
    """A list of arrays; of one stream, its equal parts."""
    one = len(streams) > 0 and np.ndim(streams[0]) == 0
    if not one:
        return [np.asarray(document, "int32") for document in streams]
    stream = np.asarray(streams, "int32")
    part = len(stream) // batch_size
    return list(stream[: part * batch_size].reshape(batch_size, part))


def _deal(documents, batch_size, segment_length):
    """For each row its documents, and how many segments they have."""
    rows = [[[], 0] for _ in range(batch_size)]
    for document in documents:
        row = min(rows, key=lambda row: row[1])
        row[0].append(document)
        row[1] += _segments(document, segment_length)
    return rows


def _segments(document, segment_length):
    """How many segments the tokens with a successor fill."""
    return -(-(len(document) - 1) // segment_length)
