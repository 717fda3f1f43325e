"""Token sequences of different lengths, stored without padding."""

import numpy as np


class TokenSequences:
    """Token sequences of different lengths, concatenated in one array.

    As padded `int32`, 25,000 reviews of at most 4,096 bytes would take 400 MB.
    Stored this way, they take 33 million small integers.

    Args:
        tokens: 1D array, the tokens of all sequences in order.
        lengths: 1D integer array, the number of tokens of each sequence.

    Example:

    >>> sequences = TokenSequences(np.array([5, 6, 7]), np.array([1, 2]))
    >>> sequences[1]
    array([6, 7])
    >>> sequences.padded()
    array([[5, 0],
           [6, 7]], dtype=int32)
    """

    def __init__(self, tokens, lengths):
        self.tokens = np.asarray(tokens)
        self.lengths = np.asarray(lengths, "int64")
        if self.tokens.ndim != 1 or self.lengths.ndim != 1:
            raise ValueError(
                "`tokens` and `lengths` must have one dimension each. Received: "
                f"tokens.shape={self.tokens.shape}, lengths.shape={self.lengths.shape}"
            )
        if self.lengths.sum() != len(self.tokens) or (self.lengths < 0).any():
            raise ValueError(
                "`lengths` must be non-negative and add up to the number of tokens. "
                f"Received: len(tokens)={len(self.tokens)}, "
                f"sum(lengths)={self.lengths.sum()}"
            )
        self._ends = np.cumsum(self.lengths)

    @classmethod
    def from_padded(cls, tokens):
        """Returns the rows of a `(rows, length)` array without trailing zeros."""
        tokens = np.asarray(tokens)
        if tokens.ndim != 2:
            raise ValueError(
                "Padded tokens must have shape `(rows, length)`. "
                f"Received: tokens.shape={tokens.shape}"
            )
        places = np.arange(1, tokens.shape[1] + 1)
        lengths = np.array(
            [places[row != 0].max(initial=0) for row in tokens], dtype="int64"
        )
        return cls(tokens[places <= lengths[:, None]], lengths)

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, index):
        """Returns one sequence for an integer, `TokenSequences` for a slice."""
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        end = self._ends[index]
        return self.tokens[end - self.lengths[index] : end]

    def take(self, indices):
        """Returns the sequences with these indices, in this order."""
        rows = [self[index] for index in indices]
        return TokenSequences(_concatenate(rows, self.tokens), self.lengths[indices])

    def padded(self, length=None, dtype="int32"):
        """Returns a `(sequences, length)` array, padded with 0.

        Args:
            length: Number of columns. Longer sequences are cut. Defaults to the
                length of the longest sequence.
            dtype: Data type of the result. Defaults to `"int32"`.
        """
        if length is None:
            length = int(self.lengths.max(initial=0))
        if (self.lengths > length).any():
            return self.truncated(length).padded(length, dtype)
        result = np.zeros((len(self), length), dtype)
        result[np.arange(length) < self.lengths[:, None]] = self.tokens
        return result

    def truncated(self, length):
        """Returns the sequences cut after `length` tokens."""
        place = np.arange(len(self.tokens)) - np.repeat(
            self._ends - self.lengths, self.lengths
        )
        return TokenSequences(
            self.tokens[place < length], np.minimum(self.lengths, length)
        )


def _concatenate(rows, like):
    return np.concatenate([like[:0], *rows])
