"""Long token streams as segments, for models that remember from batch to batch."""

import numpy as np


def cut_into_segments(streams, batch_size, segment_length):
    """Cuts token streams into batches whose rows continue from batch to batch.

    Row `b` of batch `n` has index `n * batch_size + b` in the arrays: the order of
    `fit` without shuffling. In a row, the segments of a document follow each other, and
    each document begins with a new segment. Each document goes to the row that has the
    fewest segments so far.

    Args:
        streams: Either one stream, an array of tokens, which is cut into `batch_size`
            equal parts without the remainder. Or a list of such arrays, the
            documents. Token 0 is padding.
        batch_size: Number of rows.
        segment_length: Tokens of a segment.

    Returns:
        `(inputs, targets, weights)`, with equal numbers of segments. `inputs` is a
        dictionary: "tokens", int32 `(segments, segment_length)`, and "begins", boolean
        `(segments,)`, `True` where a document begins. `targets` are the next
        tokens, and `weights`, float32, are 0 where there is no next token.

    Raises:
        ValueError: If a size is not positive, or a row or document has fewer than two
            tokens.

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
            "Each document, or each of the equal parts of a stream, must have at least "
            "two tokens: one, and one that follows. Received: lengths "
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
        # Segments without a document must not use the memory of others.
        begins[first:, row] = True
    inputs = {"tokens": tokens.reshape(-1, segment_length), "begins": begins.ravel()}
    flat = (-1, segment_length)
    return inputs, targets.reshape(flat), weights.reshape(flat)


def _documents(streams, batch_size):
    """A list of arrays: the documents, or the equal parts of one stream."""
    one = len(streams) > 0 and np.ndim(streams[0]) == 0
    if not one:
        return [np.asarray(document, "int32") for document in streams]
    stream = np.asarray(streams, "int32")
    part = len(stream) // batch_size
    return list(stream[: part * batch_size].reshape(batch_size, part))


def _deal(documents, batch_size, segment_length):
    """The documents of each row, and their number of segments."""
    rows = [[[], 0] for _ in range(batch_size)]
    for document in documents:
        row = min(rows, key=lambda row: row[1])
        row[0].append(document)
        row[1] += _segments(document, segment_length)
    return rows


def _segments(document, segment_length):
    """The number of segments for all tokens that have a next token."""
    return -(-(len(document) - 1) // segment_length)
