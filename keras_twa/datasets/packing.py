"""Packed rows: several short sequences share a row, in place of padding."""

from dataclasses import dataclass

import numpy as np

from keras_twa.datasets import checks


@dataclass(frozen=True, eq=False)
class PackedRows:
    """Sequences in N rows of equal length, as `pack` returns them.

    It unpacks as its first three attributes:
    `tokens, segment_ids, positions = pack(sequences, length)`.

    Attributes:
        tokens: int32 `(N, length)`, or features, float32 `(N, length, F)`; padding is
            0.
        segment_ids: int32 `(N, length)`: 1, 2, 3, ... in each row, and 0 for padding.
        positions: int32 `(N, length)`: 0, 1, 2, ... in each segment, and 0 for padding.
        row_of: Integer `(sequences,)`: the row of each sequence.
        segment_of: Integer `(sequences,)`: the number of its segment there, from 1.
        inputs: The inputs of a model: a dictionary of "tokens" and "segment_ids".
        max_segments: The largest number of segments in a row.
    """

    tokens: np.ndarray
    segment_ids: np.ndarray
    positions: np.ndarray
    row_of: np.ndarray
    segment_of: np.ndarray

    def __iter__(self):
        return iter((self.tokens, self.segment_ids, self.positions))

    @property
    def inputs(self):
        """The inputs of a model: a dictionary of "tokens" and "segment_ids"."""
        return {"tokens": self.tokens, "segment_ids": self.segment_ids}

    @property
    def max_segments(self):
        """The largest number of segments in a row."""
        return int(self.segment_of.max())

    def labels(self, labels, max_segments=None):
        """Arranges one label for each sequence like the sequences.

        Args:
            labels: Array `(sequences, ...)`, in the order of the sequences.
            max_segments: Number of places in each row. Defaults to the largest number
                of segments in a row.

        Returns:
            The labels `(N, max_segments, ...)`, 0 in places without a segment; and
            float32 weights `(N, max_segments)`, 1 for segments and else 0.

        Raises:
            ValueError: If there is not one label for each sequence, or a row has more
                segments than places.
        """
        labels = np.asarray(labels)
        if labels.shape[:1] != self.row_of.shape:
            raise ValueError(
                f"There must be one label for each of the {len(self.row_of)} "
                f"sequences. Received: labels of shape {labels.shape}"
            )
        places = self.max_segments if max_segments is None else max_segments
        self._check_places(places)
        shape = (len(self.tokens), places)
        arranged = np.zeros((*shape, *labels.shape[1:]), labels.dtype)
        weights = np.zeros(shape, "float32")
        arranged[self.row_of, self.segment_of - 1] = labels
        weights[self.row_of, self.segment_of - 1] = 1
        return arranged, weights

    def unpack(self, outputs):
        """The output for each sequence, in the order of the sequences.

        Args:
            outputs: Array `(N, max_segments, ...)`, such as the predictions of a
                classifier.

        Returns:
            Array `(sequences, ...)`.

        Raises:
            ValueError: If a segment has no output.
        """
        outputs = np.asarray(outputs)
        if outputs.ndim < 2 or len(outputs) != len(self.tokens):
            raise ValueError(
                f"Outputs must have shape ({len(self.tokens)}, max_segments, ...). "
                f"Received: outputs of shape {outputs.shape}"
            )
        self._check_places(outputs.shape[1])
        return outputs[self.row_of, self.segment_of - 1]

    def _check_places(self, places):
        if places < self.max_segments:
            raise ValueError(
                f"Each of up to {self.max_segments} segments in a row needs a place. "
                f"Received: {places} places in each row"
            )


def pack(sequences, length, max_segments=None):
    """Packs short sequences into rows, with little padding.

    First-fit decreasing: from the longest sequence to the shortest, each goes to the
    first row that has room for it. Without `max_segments`, there are at most 11/9 as
    many rows as necessary, and one more. The result depends only on the arguments.

    Args:
        sequences: A list of tokens: integer arrays or lists of different lengths,
            without padding. The models of this package treat token 0 as padding. Or a
            list of arrays of features, `(steps, F)`.
        length: Length of the rows.
        max_segments: The largest number of sequences in a row. Defaults to no limit.

    Returns:
        `PackedRows`: it unpacks as tokens, segment ids and positions, and arranges
        labels.

    Raises:
        ValueError: If there is no sequence, a sequence is empty or longer than a row,
            or sequences do not fit one another.

    Example:

    >>> packed = pack([[5, 6], [7, 8, 9, 4], [3]], length=4)
    >>> tokens, segment_ids, positions = packed
    >>> tokens.tolist()
    [[7, 8, 9, 4], [5, 6, 3, 0]]
    >>> segment_ids.tolist(), positions.tolist()
    ([[1, 1, 1, 1], [1, 1, 2, 0]], [[0, 1, 2, 3], [0, 1, 0, 0]])
    >>> labels, weights = packed.labels([1, 0, 1])
    >>> labels.tolist(), weights.tolist()
    ([[0, 0], [1, 1]], [[1.0, 0.0], [1.0, 1.0]])
    """
    checks.integers_from(1, length=length)
    if max_segments is not None:
        checks.integers_from(1, max_segments=max_segments)
    sequences = [np.asarray(sequence) for sequence in sequences]
    dtype = _check_sequences(sequences, length)
    sizes = [len(sequence) for sequence in sequences]
    row_of, segment_of, first = _first_fit_decreasing(sizes, length, max_segments)
    shape = (int(row_of.max()) + 1, length)
    tokens = np.zeros((*shape, *sequences[0].shape[1:]), dtype)
    segment_ids, positions = np.zeros(shape, "int32"), np.zeros(shape, "int32")
    steps = np.arange(length)
    for sequence, row, number, start in zip(
        sequences, row_of, segment_of, first, strict=True
    ):
        place = slice(start, start + len(sequence))
        tokens[row, place] = sequence
        segment_ids[row, place] = number
        positions[row, place] = steps[: len(sequence)]
    return PackedRows(tokens, segment_ids, positions, row_of, segment_of)


def next_tokens(tokens, segment_ids):
    """The targets of a language model on packed rows.

    The last token of a segment has no target: the next one belongs to another text.

    Args:
        tokens: Integer `(N, length)`.
        segment_ids: Integer `(N, length)`, 0 for padding.

    Returns:
        The next token of each token, int32 `(N, length)`, or 0 where there is none; and
        float32 weights `(N, length)`, 0 there and else 1.

    Raises:
        ValueError: If the shapes differ.

    Example:

    >>> targets, weights = next_tokens([[7, 8, 9, 5, 6, 0]], [[1, 1, 1, 2, 2, 0]])
    >>> targets.tolist(), weights.tolist()
    ([[8, 9, 0, 6, 0, 0]], [[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]])
    """
    tokens, segment_ids = np.asarray(tokens), np.asarray(segment_ids)
    if tokens.ndim != 2 or tokens.shape != segment_ids.shape:
        raise ValueError(
            "Tokens and segments must have the same shape `(rows, length)`. Received: "
            f"tokens.shape={tokens.shape}, segment_ids.shape={segment_ids.shape}"
        )
    goes_on = np.zeros(tokens.shape, "bool")
    goes_on[:, :-1] = segment_ids[:, :-1] == segment_ids[:, 1:]
    goes_on &= segment_ids != 0
    targets = np.where(goes_on, np.roll(tokens, -1, axis=1), 0)
    return targets.astype("int32"), goes_on.astype("float32")


def _check_sequences(sequences, length):
    """The dtype of the packed sequences; raises if they cannot be packed."""
    if not sequences:
        raise ValueError("There must be at least one sequence. Received: none")
    like = sequences[0]
    for index, one in enumerate(sequences):
        if one.ndim not in (1, 2) or one.shape[1:] != like.shape[1:]:
            raise ValueError(
                "Each sequence must have shape `(steps,)`, or each `(steps, F)` with "
                f"the same F. Received: sequences of shapes {like.shape} and "
                f"{one.shape}"
            )
        if not 1 <= len(one) <= length:
            raise ValueError(
                f"A sequence must have 1 to {length} steps: cut or drop others. "
                f"Received: length={length}, a sequence of {len(one)} steps, number "
                f"{index}"
            )
    kinds = {one.dtype.kind for one in sequences}
    if kinds <= {"i", "u"}:
        limits = np.iinfo("int32")
        lowest = min(int(one.min()) for one in sequences)
        highest = max(int(one.max()) for one in sequences)
        if lowest < limits.min or highest > limits.max:
            raise ValueError(
                "Tokens must be int32 numbers. "
                f"Received: tokens from {lowest} to {highest}"
            )
        return "int32"
    if kinds <= {"i", "u", "f"}:
        return "float32"
    raise ValueError(
        "Sequences must hold integers, or real numbers. Received: dtypes "
        f"{sorted({str(one.dtype) for one in sequences})}"
    )


def _first_fit_decreasing(sizes, length, max_segments):
    """Chooses places for sequences.

    Args:
        sizes: The length of each sequence.
        length: Length of the rows.
        max_segments: The largest number of sequences in a row, or `None`.

    Returns:
        Three integer arrays: the row of each sequence, the number of its segment there,
        from 1, and its first step.
    """
    # A binary tree over the rows: `room[1]` is the most room in any row, `room[i]` the
    # more of `room[2 * i]` and `room[2 * i + 1]`.
    leaves = 1 << (len(sizes) - 1).bit_length()
    room = [length] * (2 * leaves)
    row_of, segment_of, first = np.zeros((3, len(sizes)), "int64")
    used, counts = [0] * leaves, [0] * leaves
    for index in np.argsort(np.negative(sizes), kind="stable").tolist():
        size, node = sizes[index], 1
        while node < leaves:
            node *= 2
            node += room[node] < size
        row = node - leaves
        row_of[index], first[index] = row, used[row]
        used[row] += size
        counts[row] += 1
        segment_of[index] = counts[row]
        room[node] = 0 if counts[row] == max_segments else length - used[row]
        while node > 1:
            node //= 2
            room[node] = max(room[2 * node], room[2 * node + 1])
    return row_of, segment_of, first
