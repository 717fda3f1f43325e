"""What a search found, as a table in the terminal."""

from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from keras_twa.experiments.text import accuracy_text
from keras_twa.experiments.text import seconds_text
from keras_twa.tuner.result import TuningResult

# Columns that a terminal needs for all that the table has.
WIDTH = 112
CHOSEN = ("attention", "layers", "rate", "dropout", "batch")


def tuning_table(result: TuningResult, width: int = WIDTH) -> Table:
    """Returns the default and all trials, the best first, beside the baselines.

    Args:
        result: The `TuningResult`.
        width: Columns of the terminal. With less than 112, the number of weights and
            the time of training are left out.
    """
    headings = [*CHOSEN, "weights", "training", "validation", "test"]
    if width < WIDTH:
        headings = [*CHOSEN, "validation", "test"]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    # This one gives way where the others need room.
    table.add_column(headings[0], overflow="fold", max_width=40)
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)

    def add(name: str, cells: dict[str, str], style: str | None = None) -> None:
        row = [cells.get(heading, "") for heading in headings]
        table.add_row(name, *row, style=style)

    if result.default is not None:
        add("default", _cells(result.default))
    # Those that failed come last.
    for trial in sorted(result.trials, key=lambda trial: -(trial["score"] or 0)):
        if result.best is not None and trial["id"] == result.best["id"]:
            add("best", _cells(result.best), style="bold")
        else:
            add(f"trial {trial['id']}", _cells(trial))
    for name, accuracy in result.baselines.items():
        cells = {"attention": name, "test": accuracy_text(accuracy)}
        add("", cells, style="dim")
    return table


def _cells(found: dict[str, Any]) -> dict[str, str]:
    """The cells of a row by the headings of their columns."""
    chosen = found["hyperparameters"]
    lines = [f"{name}={value}" for name, value in chosen["options"].items()]
    cells = {
        "layers": f"{chosen['num_layers']} x {chosen['embedding_dim']}",
        "rate": f"{chosen['learning_rate']:.2g}",
        "dropout": f"{chosen['dropout']:.2g}",
        "batch": f"{chosen['batch_size']}",
    }
    if found["score"] is None:
        lines.append(found.get("message", ""))
        cells["validation"] = "failed"
    else:
        cells["weights"] = f"{found['parameters']:,}"
        cells["training"] = seconds_text(found["seconds"])
        cells["validation"] = accuracy_text(found["score"])
    if "test_accuracy" in found:
        cells["test"] = accuracy_text(found["test_accuracy"])
    told = "\n".join([chosen["attention"], *(f"  {line}" for line in lines if line)])
    return {"attention": escape(told), **cells}
