"""What the file in the folder of a matrix says about it."""

from pathlib import Path
from typing import Any

from keras_twa import files
from keras_twa.experiments.comparison import check_folder
from keras_twa.experiments.results import read_json

FACTS = "probes.json"
FORMAT = 1
# What all runs of a matrix have in common.
SAME = ("preset", "backend", "positions", "learning_rates", "epochs")
# What later calls add to, in this order.
GROWING = ("probes", "attentions", "seeds")


def has_matrix(folder: Path) -> bool:
    """Returns whether a folder has a matrix."""
    return (folder / FACTS).exists()


def read_facts(folder: Path) -> dict[str, Any]:
    """Returns the facts of the matrix in a folder.

    Raises:
        ValueError: If it has none of this version.
    """
    facts = read_json(folder / FACTS)
    missing = [name for name in (*SAME, *GROWING, "skipped") if name not in facts]
    if facts.get("format") != FORMAT or missing:
        raise ValueError(
            "Not a matrix of probes of this version of keras_twa. "
            f"Received: {folder / FACTS}"
        )
    return facts


def check_free(folder: Path) -> None:
    """Checks that a folder is free for a matrix.

    Raises:
        ValueError: If it has any contents.
        OSError: If it is not writable.
    """
    check_folder(folder)
    own = files.leftovers(folder / FACTS)
    if folder.exists() and any(path not in own for path in folder.iterdir()):
        raise ValueError(
            "The output folder is not empty, and has no matrix of probes. "
            f"Received: {folder}"
        )
