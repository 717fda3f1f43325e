"""A split of rows into training, validation and test, with each class in each."""

from collections.abc import Sequence

import numpy as np

from keras_twa.tasks.array_rows import SPLITS

# Of the rows of each class; the others are for training.
VALIDATION_SHARE = 0.15
TEST_SHARE = 0.15


def stratified_split(
    labels: np.ndarray, seed: int, place: str, names: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Returns the numbers of the series of each split, in order.

    Of the series of each class, 70 % are for training, 15 % for validation and 15 % for
    the test, and at least one for each.

    Args:
        labels: Integers `(N,)`: the class of each series.
        seed: Seed of the choice.
        place: Where the targets are, for errors.
        names: The name of each class, for errors. Defaults to that there are none.

    Raises:
        ValueError: If a class has fewer than three series.
    """
    counts = np.bincount(labels)
    if counts.min() < len(SPLITS):
        each = " of each class" if names else ""
        least = f" of class {names[int(counts.argmin())]!r}" if names else ""
        raise ValueError(
            f"{place}: there must be at least {len(SPLITS)} series{each}, one for each "
            f"of {', '.join(SPLITS)}. Received: {counts.min()} series{least}"
        )
    parts: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
    rng = np.random.default_rng(seed)
    for label, count in enumerate(counts):
        rows = rng.permutation(np.flatnonzero(labels == label))
        validation = max(1, round(VALIDATION_SHARE * count))
        test = max(1, round(TEST_SHARE * count))
        cuts = (count - validation - test, count - test)
        for name, part in zip(SPLITS, np.split(rows, cuts), strict=True):
            parts[name].append(part)
    return {name: np.sort(np.concatenate(part)) for name, part in parts.items()}
