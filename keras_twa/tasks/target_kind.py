"""Whether targets are classes or numbers."""

import math

import numpy as np

CLASSIFICATION = "classification"
REGRESSION = "regression"
KINDS = (CLASSIFICATION, REGRESSION)
# Most distinct whole numbers that are classes.
MOST_CLASSES = 20
# Features and targets become float32.
LARGEST = float(np.finfo("float32").max)


def number(text: str) -> float:
    """Returns the number that a text is, or NaN if it is none, or not finite."""
    try:
        found = float(text)
    except ValueError:
        return math.nan
    return found if abs(found) <= LARGEST and "_" not in text else math.nan


def kind_of(targets: np.ndarray) -> tuple[str, str]:
    """Returns the kind of a task, and the reason.

    Texts are classes, and so are whole numbers with at most 20 distinct values.

    Args:
        targets: float64, or text, `(N,)`.
    """
    if targets.dtype.kind != "f":
        return CLASSIFICATION, "its values are text"
    distinct = np.unique(targets)
    if (distinct != np.round(distinct)).any():
        return REGRESSION, "some of its values are not whole numbers"
    if len(distinct) > MOST_CLASSES:
        return REGRESSION, f"it has more than {MOST_CLASSES} distinct whole numbers"
    return CLASSIFICATION, f"it has {len(distinct)} distinct whole numbers"


def labels_of(targets: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns a label from 0 for each target, and the name of each class.

    Args:
        targets: float64, or text, `(N,)`.
    """
    distinct, labels = np.unique(targets, return_inverse=True)
    if targets.dtype.kind != "f":
        return labels, tuple(map(str, distinct))
    return labels, tuple(
        str(int(value)) if value == round(value) else str(value)
        for value in distinct.tolist()
    )
