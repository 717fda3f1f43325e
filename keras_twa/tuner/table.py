"""What a search found, as a table in the terminal."""

from typing import Any

from rich import box
from rich.table import Table

from keras_twa.experiments.text import accuracy_text
from keras_twa.experiments.text import seconds_text
from keras_twa.tuner.result import TuningResult


def tuning_table(result: TuningResult) -> Table:
    """Returns the default and all trials, the best first, beside the baselines."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("attention", overflow="fold", min_width=30)
    headings = ("layers", "rate", "dropout", "batch", "weights", "training")
    for heading in (*headings, "validation", "test"):
        table.add_column(heading, justify="right", no_wrap=True)
    if result.default is not None:
        table.add_row("default", *_cells(result.default))
    done = [trial for trial in result.trials if trial["score"] is not None]
    for trial in sorted(done, key=lambda trial: -trial["score"]):
        if result.best is not None and trial["id"] == result.best["id"]:
            table.add_row("best", *_cells(result.best), style="bold")
        else:
            table.add_row(f"trial {trial['id']}", *_cells(trial))
    empty = [""] * (len(headings) + 1)
    for name, accuracy in result.baselines.items():
        table.add_row("", f"[dim]{name}", *empty, f"[dim]{accuracy_text(accuracy)}")
    return table


def _cells(found: dict[str, Any]) -> list[str]:
    chosen = found["hyperparameters"]
    options = [f"{name}={value}" for name, value in chosen["options"].items()]
    return [
        "\n".join([chosen["attention"], *(f"  {option}" for option in options)]),
        f"{chosen['num_layers']} x {chosen['embedding_dim']}",
        f"{chosen['learning_rate']:.2g}",
        f"{chosen['dropout']:.2g}",
        f"{chosen['batch_size']}",
        f"{found['parameters']:,}",
        seconds_text(found["seconds"]),
        accuracy_text(found["score"]),
        accuracy_text(found["test_accuracy"]) if "test_accuracy" in found else "",
    ]
