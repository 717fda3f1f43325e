"""What a file of the user contains, before it is split."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_twa.datasets.token_sequences import TokenSequences


@dataclass(frozen=True)
class OwnSeries:
    """Series of a file, with one target for each.

    Args:
        values: The features of each series, finite numbers `(T, features)`.
        stamps: The time stamps `(T,)` of each series, numbers or dates of NumPy. They
            do not fall.
        has_times: Whether the file has them, or else steps are numbered.
        targets: float64, or text, `(N,)`.
        place: Where the targets are, for errors.
        target: What the targets are called.
        about: Sentences on what was read.
        splits: The numbers of the series of each split, if the file states them.
    """

    values: Sequence[np.ndarray]
    stamps: Sequence[np.ndarray]
    has_times: bool
    targets: np.ndarray
    place: str
    target: str
    about: tuple[str, ...] = ()
    splits: Mapping[str, np.ndarray] | None = None


@dataclass(frozen=True)
class OwnTokens:
    """Sequences of tokens of a file, with one target for each.

    Args:
        sequences: The tokens; 0 is padding.
        targets: float64, or text, `(N,)`.
        place: Where the targets are, for errors.
        target: What the targets are called.
        splits: The numbers of the sequences of each split, if the file states them.
    """

    sequences: TokenSequences
    targets: np.ndarray
    place: str
    target: str
    splits: Mapping[str, np.ndarray] | None = None
