"""What a comparison says about a file of the user, in sentences."""

from collections.abc import Iterable
from collections.abc import Sequence

from keras_twa.tasks.own_data import OwnSeries
from keras_twa.tasks.own_data import OwnTokens
from keras_twa.tasks.target_kind import kind_of

_MOST_CLASSES = 10


def about_lengths(what: str, lengths: Iterable[int]) -> str:
    """Returns how many series or sequences there are, and their lengths."""
    steps = list(map(int, lengths))
    shortest, longest = min(steps), max(steps)
    span = f"{shortest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    return f"{len(steps):,} {what}, of {span} steps."


def about_targets(
    found: OwnSeries | OwnTokens, kind: str, classes: Sequence[str] | None
) -> str:
    """Returns what is predicted, and why it is a class or a number.

    Args:
        found: What the file contains.
        kind: The kind of the task.
        classes: The name of each class, or `None` for numbers.
    """
    own, reason = kind_of(found.targets)
    why = f"because {reason}" if own == kind else "as asked"
    what = "is a number to predict"
    if classes is not None:
        named = ", ".join(classes[:_MOST_CLASSES])
        more = ", …" if len(classes) > _MOST_CLASSES else ""
        what = f"has {len(classes)} classes ({named}{more})"
    return f"{found.target!r} {what}, {why} (--kind overrides this)."


def about_times(has_times: bool, unit: str, asked: bool) -> str:
    """Returns the unit of time, and where it comes from."""
    if not has_times:
        return "Time steps are at times 0, 1, 2, …"
    why = "as asked" if asked else "the median gap between time steps"
    return (
        f"Times are those since the first step of a series, in units of {unit} "
        f"({why}; --time-unit overrides this, and changes the ranking)."
    )


def about_splits(
    found: OwnSeries | OwnTokens, seed: int, classes: Sequence[str] | None
) -> str:
    """Returns how training, validation and test were chosen.

    Args:
        found: What the file contains.
        seed: Seed of the choice.
        classes: The name of each class, or `None` for numbers.
    """
    if found.splits is not None:
        return "The file states the splits."
    each = " of each class" if classes is not None else ""
    return (
        f"70 %{each} are for training, 15 % for validation and 15 % for the test, "
        f"chosen with data_seed {seed}."
    )
