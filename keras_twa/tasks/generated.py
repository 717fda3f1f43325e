"""Checks of rows that are generated, in any number."""

from keras_twa.tasks.array_rows import SPLITS
from keras_twa.tasks.settings import Settings

GENERATED = "generated"


def check_generated(what: str, data: str, settings: Settings) -> None:
    """Checks where rows come from, and that their number is given.

    Args:
        what: What the rows are, for the message.
        data: The value of `--data`.
        settings: The `Settings`.

    Raises:
        ValueError: If `data` is neither "auto" nor "generated", or a number of rows is
            `None`.
    """
    if data not in ("auto", GENERATED):
        raise ValueError(f"{what} can only be generated. Received: data={data!r}")
    for name in SPLITS:
        if settings.value(f"num_{name}") is None:
            raise ValueError(
                "There is no limit to generated rows: their number must be an "
                f"integer. Received: num_{name}=None"
            )
